//! How many tokens of each text of a pair survive a length limit.

/// Which text gives up tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// Both, the longer one first, as `transformers` does with `truncation="longest_first"`.
    #[default]
    LongestFirst,
    /// The document only.
    OnlySecond,
}

impl Truncation {
    /// Lengths kept of a first and a second text when `budget` tokens fit. None if the strategy cannot
    /// make the pair fit.
    pub fn split(self, first: usize, second: usize, budget: usize) -> Option<(usize, usize)> {
        if first + second <= budget {
            return Some((first, second));
        }
        match self {
            Truncation::LongestFirst => {
                // The fast tokenizers' arithmetic: the longer text is cut first; where both must be cut,
                // the odd token goes to the longer one, on ties to the second.
                let swap = first > second;
                let short = first.min(second);
                let long = if short > budget {
                    short
                } else {
                    short.max(budget - short)
                };
                let (short, long) = if short + long > budget {
                    (budget / 2, budget / 2 + budget % 2)
                } else {
                    (short, long)
                };
                Some(if swap { (long, short) } else { (short, long) })
            }
            Truncation::OnlySecond => (first < budget).then(|| (first, budget - first)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_first_as_the_reference() {
        // Seen with transformers 5.23 and a budget of 9.
        for (lengths, kept) in [
            ((20, 20), (4, 5)),
            ((20, 5), (5, 4)),
            ((20, 3), (6, 3)),
            ((3, 20), (3, 6)),
            ((4, 5), (4, 5)),
            ((0, 20), (0, 9)),
            ((20, 0), (9, 0)),
        ] {
            assert_eq!(
                Truncation::LongestFirst.split(lengths.0, lengths.1, 9),
                Some(kept),
                "{lengths:?}"
            );
        }
        assert_eq!(Truncation::LongestFirst.split(5, 7, 0), Some((0, 0)));
    }

    #[test]
    fn only_second_keeps_the_query() {
        assert_eq!(Truncation::OnlySecond.split(4, 20, 9), Some((4, 5)));
        assert_eq!(Truncation::OnlySecond.split(9, 20, 9), None);
        assert_eq!(Truncation::OnlySecond.split(9, 0, 9), Some((9, 0)));
    }
}
