//! The index: segments of documents under one fitted model.

use super::build;
use super::common::Common;
use super::lookup::{self, Fitted};
use super::ngrams::{Shape, Symbol};
use super::norms::Frequencies;
use super::plan::Plan;
use super::progress::Progress;
use super::scan::{Scanner, Setting};
use super::segment::{Bounds, Model, Segment};
use super::texts::{Encoded, max_symbols, pack};
use super::top_k::{Hits, TopK};
use super::vocabulary;
use super::weighting::Weighting;
use crate::error::{Error, Result};
use crate::pool::on_pool;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Documents in segments, over symbols of one width.
pub struct Index<S: Symbol> {
    pub shape: Shape,
    pub model: Model,
    pub segments: Vec<Segment<S>>,
    pub bounds: Bounds,
    /// Queries so far.
    answered: AtomicU64,
    plans: Spares<Plan>,
    scanners: Spares<Scanner>,
}

/// Queries from which on it pays to know the common n-grams, and the codes of all. They are neither
/// built nor saved with the index, as they take about as long as a hundred queries.
const LEAST_ANSWERED: u64 = if cfg!(test) { 4 } else { 16 };

/// Postings for each repeat, if what repeats are worth is to be kept: more would take more memory than the
/// postings do.
const LEAST_POSTINGS_EACH: usize = if cfg!(test) { 0 } else { 2 };

/// Documents from which on threads share a query.
const LEAST_DIVIDED: usize = if cfg!(test) { 8 } else { 100_000 };

/// Many queries are divided into so many tasks, or more.
const LEAST_TASKS: usize = 64;
/// Queries of a task, at most.
const MOST_OF_TASK: usize = 4;

/// Added segments are merged once the largest is at most one part in so many.
const MERGED: usize = 3;

/// Scale factors, by segment, that leave documents out.
pub type Filter = Vec<Vec<f32>>;

impl<S: Symbol> Index<S> {
    /// Fits an index to texts, and holds them.
    pub fn fit(
        shape: Shape,
        weighting: Weighting,
        blocks: Vec<Encoded<S>>,
        progress: Progress,
    ) -> Result<Self> {
        let texts = pack(&shape, blocks)?;
        let fitted = texts.iter().map(|texts| texts.len() as u64).sum();
        let lengths = texts.iter().flat_map(|texts| texts.offsets.windows(2));
        let ngrams = lengths.map(|pair| shape.ngrams((pair[1] - pair[0]) as usize));
        let ngrams: u64 = ngrams.sum();
        let average = if fitted == 0 {
            0.0
        } else {
            ngrams as f64 / fitted as f64
        };
        let positions = texts.iter().map(|t| build::positions(&shape, t)).max();
        let table_bits = build::table_bits(&shape, positions.unwrap_or(0));
        let mut first = 0;
        let mut segments = Vec::with_capacity(texts.len());
        let mut repeats = Vec::with_capacity(texts.len());
        for texts in texts {
            let count = texts.len() as u32;
            let (segment, repeated) =
                Segment::build(&shape, texts, table_bits, false, first, progress)?;
            segments.push(segment);
            repeats.push(repeated);
            first += count;
        }
        let model = Model::new(weighting, fitted, average);
        let frequencies = vocabulary::of_fitted(&shape, &segments, progress)?;
        let bounds = segments
            .par_iter_mut()
            .zip(&repeats)
            .enumerate()
            .map(|(number, (segment, repeats))| {
                let of_all = frequencies.as_ref();
                let of_all = of_all.map(|of_all| Frequencies::Counted(&of_all[number]));
                let bounds = segment.weigh(&shape, &model, of_all, repeats);
                segment.forget_texts();
                bounds
            })
            .reduce(Bounds::default, Bounds::join);
        Ok(Self::new(shape, model, segments, bounds))
    }

    pub fn new(shape: Shape, model: Model, segments: Vec<Segment<S>>, bounds: Bounds) -> Self {
        Self {
            shape,
            model,
            segments,
            bounds,
            answered: AtomicU64::new(0),
            plans: Spares::default(),
            scanners: Spares::default(),
        }
    }

    /// Number of documents ever added: the number of the next one.
    pub fn len(&self) -> usize {
        let last = self.segments.last();
        last.map_or(0, |last| last.first as usize + last.len())
    }

    /// Adds documents without changing the model: n-grams that no fitted document has count
    /// for nothing.
    pub fn add(&mut self, blocks: Vec<Encoded<S>>, progress: Progress) -> Result<()> {
        let mut first = self.len();
        let mut added = Vec::new();
        let mut bounds = self.bounds;
        let fitted = Fitted::of(&self.shape, &self.segments);
        for texts in pack(&self.shape, blocks)? {
            if u32::try_from(first + texts.len()).is_err() {
                return Err(Error::Input(
                    "an index holds at most 2^32 documents".to_owned(),
                ));
            }
            let bits = build::table_bits(&self.shape, build::positions(&self.shape, &texts));
            let (mut segment, repeats) =
                Segment::build(&self.shape, texts, bits, true, first as u32, progress)?;
            let frequencies = Frequencies::LookedUp(&fitted);
            let weighed = segment.weigh(&self.shape, &self.model, Some(frequencies), &repeats);
            bounds = bounds.join(weighed);
            first += segment.len();
            added.push(segment);
        }
        // The documents are in: nothing fails or is interrupted from here on.
        self.segments.extend(added);
        self.bounds = bounds;
        self.free_scanners();
        self.merge();
        Ok(())
    }

    /// Merges the last added segments if none of them has more than a third of their documents: each
    /// document is then sorted again about log3(documents) times, and all at once. Segments
    /// that there is no memory to merge stay as they are.
    fn merge(&mut self) {
        let added = self
            .segments
            .partition_point(|segment| segment.df.is_some());
        let merges = |first: &usize| {
            let segments = &self.segments[*first..];
            let all: usize = segments.iter().map(Segment::len).sum();
            let largest = segments.iter().map(Segment::len).max().unwrap_or(0);
            let symbols: usize = segments.iter().map(|s| s.texts.symbols.len()).sum();
            all <= build::MAX_DOCS && symbols <= max_symbols(&self.shape) && MERGED * largest <= all
        };
        let first = (added..self.segments.len()).find(merges);
        if let Some(first) = first
            && let Ok(merged) =
                Segment::merge(&self.shape, self.model.weighting, &self.segments[first..])
        {
            self.segments.truncate(first);
            self.segments.push(merged);
        }
    }

    /// Removes documents by number. Their n-grams stay in the model.
    pub fn remove(&mut self, numbers: &[u32]) {
        for &number in numbers {
            let (segment, doc) = self.place(number);
            self.segments[segment].factors[doc] = 0.0;
        }
    }

    fn place(&self, number: u32) -> (usize, usize) {
        let segment = self.segments.partition_point(|s| s.first <= number) - 1;
        (segment, (number - self.segments[segment].first) as usize)
    }

    /// A filter that keeps the documents with these numbers only.
    pub fn filter(&self, numbers: &[u32]) -> Filter {
        let zeros = |segment: &Segment<S>| vec![0.0; segment.len()];
        let mut filter: Filter = self.segments.iter().map(zeros).collect();
        for &number in numbers {
            let (segment, doc) = self.place(number);
            filter[segment][doc] = self.segments[segment].factors[doc];
        }
        filter
    }

    /// Finds the best `k` documents for each of `count` queries, of which `query(number, out)` gives
    /// the symbols. Calls `found(number, answers)` for some neighbours at a time, the first of which
    /// has this number: on any thread, in any order.
    pub fn search(
        &self,
        count: usize,
        query: impl Fn(usize, &mut Vec<S>) + Sync,
        k: usize,
        filter: Option<&Filter>,
        cancel: &AtomicBool,
        found: impl Fn(usize, Vec<Hits>) + Sync,
    ) -> Result<()> {
        let one = |number: usize| {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let mut symbols = Vec::new();
            query(number, &mut symbols);
            Ok(symbols)
        };
        let answered = self.answered.fetch_add(count as u64, Ordering::Relaxed);
        if answered + count as u64 >= LEAST_ANSWERED {
            self.prepare();
        }
        if count == 1 {
            let together = self.divides_queries();
            found(0, vec![self.best(&one(0)?, k, filter, together)]);
            return Ok(());
        }
        // Each task is taken by whoever is free: nobody waits before the end, and then for one task.
        let size = (count / LEAST_TASKS).clamp(1, MOST_OF_TASK);
        let tasks = (0..count.div_ceil(size)).into_par_iter().with_max_len(1);
        tasks.try_for_each(|task| {
            let numbers = task * size..count.min((task + 1) * size);
            let answers = numbers
                .clone()
                .map(|number| Ok(self.best(&one(number)?, k, filter, false)));
            found(numbers.start, answers.collect::<Result<_>>()?);
            Ok(())
        })
    }

    /// Finds the common n-grams of segments whose are not known yet, and their codes.
    pub fn prepare(&self) {
        let segments = self.segments.iter();
        let new: Vec<_> = segments.filter(|s| s.common.get().is_none()).collect();
        if new.is_empty() {
            return;
        }
        let find = |segment: &Segment<S>| {
            let mut common = Common::of(&self.shape, &segment.trie, &segment.docs, segment.len());
            let frequencies =
                lookup::of_ngrams(&self.shape, segment, &common.ngrams, &self.segments);
            let squares = frequencies.iter();
            let squares: Vec<f64> = squares.map(|&df| self.model.idf_squares.get(df)).collect();
            let weighting = self.model.weighting;
            common.weigh(&squares, weighting, &segment.penalties, &segment.factors);
            if segment.repeats.len() * LEAST_POSTINGS_EACH <= segment.docs.len() {
                segment.repeats.weigh(segment.weights(weighting));
            }
            // Two threads may find the same. None waits: it may have work that the other waits for.
            let _ = segment.common.set(common);
            segment.find_codes(&self.shape);
        };
        // Where threads cannot be started, queries go on without.
        let _ = on_pool(|| {
            new.into_par_iter().for_each(find);
            Ok(())
        });
    }

    /// Whether threads share the segments of a query: where they take much longer than waking them.
    pub fn divides_queries(&self) -> bool {
        self.len() >= LEAST_DIVIDED && self.segments.len() > 1
    }

    /// The best documents for a query, found by all threads `together` or by this one.
    fn best(&self, query: &[S], k: usize, filter: Option<&Filter>, together: bool) -> Hits {
        let mut plan = self.plans.take(Plan::default);
        plan.make(&self.shape, &self.model, &self.segments, query, together);
        let setting = Setting {
            shape: &self.shape,
            weighting: self.model.weighting,
            bounds: self.bounds,
        };
        let scan = |segments: Range<usize>| {
            let mut scanner = self.scanners.take(|| Scanner::new(self.bounds));
            let mut top = TopK::new(k);
            for number in segments {
                let factors = filter.map(|filter| &filter[number][..]);
                let segment = &self.segments[number];
                scanner.scan(setting, &plan, number, segment, factors, &mut top);
            }
            self.scanners.give_back(scanner);
            top.into_hits()
        };
        let count = self.segments.len();
        let hits = if together {
            let parts = count.min(rayon::current_num_threads());
            let parts = (0..parts).map(|part| count * part / parts..count * (part + 1) / parts);
            let parts: Vec<_> = parts.collect();
            Hits::best_of(parts.into_par_iter().map(scan).collect(), k)
        } else {
            scan(0..count)
        };
        self.plans.give_back(plan);
        hits
    }

    /// After a change of bounds: they decide how wide a scanner's sums are.
    fn free_scanners(&mut self) {
        self.scanners = Spares::default();
    }
}

/// What queries use one after the other. What was in use at a panic does not come back.
struct Spares<T>(Mutex<Vec<T>>);

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Spares<T> {
    fn take(&self, make: impl FnOnce() -> T) -> T {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(make)
    }

    fn give_back(&self, spare: T) {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spares.push(spare);
    }
}
