//! The ranges of paths that begin with a query's n-grams, cut into disjoint ones, and what each adds.

use super::left_out::LeftOut;
use super::ngrams::Shape;
use super::plan::Plan;
use super::sum::Sum;
use std::ops::Range;

/// N-grams of which each begins with the one before, as those of a path are.
pub struct Prefixes<'a> {
    /// Whether a document may have one of them more than once.
    pub repeated: bool,
    /// Up to this length they are left out.
    pub left_out: u8,
    /// Value of all up to this length, of all that are one longer, and so on, before rounding.
    pub values: &'a [f64],
}

/// An n-gram and all that it begins with.
#[derive(Clone, Copy)]
struct Prefix<T> {
    length: u8,
    left_out: u8,
    /// Whether a document may have one of them, of those not left out, more than once.
    repeated: bool,
    /// The value of all, and of those not left out.
    all: T,
    value: T,
}

impl Plan {
    /// Cuts the ranges of all n-grams, nested as they are, into disjoint ones: calls `visit(paths,
    /// value, prefixes)` for each, where value is the sum of the values of the n-grams whose range it
    /// is in. N-grams that are `left_out` go there instead.
    pub fn disjoint<T: Sum>(
        &self,
        shape: &Shape,
        segment: usize,
        units: f64,
        mut left_out: Option<&mut LeftOut<T>>,
        mut visit: impl FnMut(Range<u32>, T, Prefixes),
    ) {
        let zero = T::default();
        let none = Prefix {
            length: shape.shortest as u8 - 1,
            left_out: shape.shortest as u8 - 1,
            repeated: false,
            all: zero,
            value: zero,
        };
        // The prefixes of the current n-gram, and before rounding the value of all up to each.
        let mut prefixes = [none; u8::MAX as usize + 1];
        let mut values = [0.0; u8::MAX as usize + 1];
        // Enclosing ranges: end, and what the n-gram is.
        let mut enclosing: Vec<(u32, Prefix<T>)> = Vec::new();
        let mut done = 0;
        let mut emit = |from: u32, to: u32, prefix: &Prefix<T>, values: &[f64]| {
            // What begins with n-grams that are left out may add less than a unit to them. It is repeated
            // all the same.
            if from < to && (prefix.value != zero || prefix.repeated) {
                let prefixes = Prefixes {
                    repeated: prefix.repeated,
                    left_out: prefix.left_out,
                    values: &values[prefix.left_out.into()..=prefix.length.into()],
                };
                visit(from..to, prefix.value, prefixes);
            }
        };
        for (ngram, found) in self.in_segment(segment) {
            // Values of paths are rounded, and an n-gram's own is the difference it makes: so sums
            // do not depend on what is left out. Upwards: what is above zero stays above it.
            let length = usize::from(ngram.length);
            let value = ngram.path_value * units;
            let all = T::rounded(value.ceil());
            let above = prefixes[length - 1];
            let own = all.minus(above.all);
            let prefix = match (&mut left_out, found.common) {
                (Some(left_out), Some(number)) if left_out.has(number) => {
                    left_out.set(number, own, [values[length - 1], value]);
                    // And so is all that it begins with.
                    Prefix {
                        length: ngram.length,
                        left_out: ngram.length,
                        all,
                        ..above
                    }
                }
                _ => Prefix {
                    length: ngram.length,
                    repeated: above.repeated || found.repeated,
                    all,
                    value: above.value.plus(own),
                    ..above
                },
            };
            while let Some((outer_end, outer)) = enclosing.last() {
                if *outer_end > found.first {
                    emit(done, found.first, outer, &values);
                    break;
                }
                emit(done, *outer_end, outer, &values);
                done = done.max(*outer_end);
                enclosing.pop();
            }
            prefixes[length] = prefix;
            values[length] = value;
            done = found.first;
            enclosing.push((found.end, prefix));
        }
        while let Some((end, prefix)) = enclosing.pop() {
            emit(done, end, &prefix, &values);
            done = end;
        }
    }

    /// Calls `visit(paths, value, prefixes)` for each n-gram that is `left_out`: what they lack that
    /// it is a prefix of.
    pub fn left_out<T: Sum>(
        &self,
        segment: usize,
        left_out: &LeftOut<T>,
        mut visit: impl FnMut(Range<u32>, T, Prefixes),
    ) {
        for (ngram, found) in self.in_segment(segment) {
            if let Some(number) = found.common
                && left_out.has(number)
            {
                let (value, values) = left_out.value(number);
                let prefixes = Prefixes {
                    repeated: found.repeated,
                    left_out: ngram.length - 1,
                    values,
                };
                visit(found.first..found.end, value, prefixes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::Found;
    use super::super::plan::Ngram;
    use super::*;

    #[test]
    fn what_is_repeated_is_visited_however_little_it_adds() {
        let shape = Shape {
            bits: 2,
            shortest: 3,
            longest: 3,
        };
        let ngram = |_| Ngram {
            length: 3,
            tf: 1,
            df: 1,
            value: 1.0,
            path_value: 1.0,
            square: 1.0,
        };
        let found = |number: u32| Found {
            first: number,
            end: number + 1,
            repeated: number == 1,
            ..Found::default()
        };
        let plan = Plan::of((0..3).map(ngram).collect(), (0..3).map(found).collect());
        for (units, expected) in [(1.0, vec![(0, 1), (1, 1), (2, 1)]), (0.0, vec![(1, 0)])] {
            let mut visited = Vec::new();
            let visit = |paths: Range<u32>, value: u32, _: Prefixes| {
                visited.push((paths.start, value));
            };
            plan.disjoint(&shape, 0, units, None, visit);
            assert_eq!(visited, expected);
        }
    }
}
