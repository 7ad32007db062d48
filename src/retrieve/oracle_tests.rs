//! The engine against brute force in f64: counted n-grams, no trie, no fixed point.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

type Bag = HashMap<Vec<String>, u32>;

fn bag(analyzer: &Analyzer, text: &str) -> Bag {
    let mut prepared = Vec::new();
    analyzer.prepare(text, &mut prepared);
    let text = String::from_utf8(prepared).unwrap();
    let symbols: Vec<String> = match analyzer.unit {
        Unit::Char => text.chars().map(String::from).collect(),
        Unit::Word => text.split_whitespace().map(str::to_owned).collect(),
    };
    let mut bag = Bag::new();
    for n in analyzer.shortest..=analyzer.longest {
        for window in symbols.windows(n) {
            *bag.entry(window.to_vec()).or_default() += 1;
        }
    }
    bag
}

struct Oracle {
    weighting: Weighting,
    fitted: usize,
    df: HashMap<Vec<String>, u32>,
    average: f64,
}

impl Oracle {
    fn fit(weighting: Weighting, bags: &[Bag]) -> Self {
        let mut df = HashMap::new();
        for ngram in bags.iter().flat_map(HashMap::keys) {
            *df.entry(ngram.clone()).or_insert(0) += 1;
        }
        let total: u32 = bags.iter().flat_map(HashMap::values).sum();
        Self {
            weighting,
            fitted: bags.len(),
            df,
            average: f64::from(total) / bags.len() as f64,
        }
    }

    /// Unit vector of a text.
    fn vector(&self, bag: &Bag) -> HashMap<Vec<String>, f64> {
        let known = bag.iter().filter(|(ngram, _)| self.df.contains_key(*ngram));
        let length: u32 = known.clone().map(|(_, tf)| tf).sum();
        let n = self.fitted as f64;
        let weight = |ngram: &Vec<String>, tf: f64| {
            let df = f64::from(self.df[ngram]);
            match self.weighting {
                Weighting::TfIdf => tf * (((n + 1.0) / (df + 1.0)).ln() + 1.0),
                Weighting::Bm25 { k1, b, epsilon } => {
                    let penalty = k1 * (1.0 - b + b * f64::from(length) / self.average);
                    let idf = ((n - df + 0.5) / (df + 0.5) + 1.0).ln();
                    (tf * (k1 + 1.0) / (tf + penalty) + epsilon) * idf
                }
            }
        };
        let weights: HashMap<_, _> = known
            .map(|(ngram, &tf)| (ngram.clone(), weight(ngram, f64::from(tf))))
            .collect();
        let norm = weights.values().map(|w| w * w).sum::<f64>().sqrt();
        weights.into_iter().map(|(g, w)| (g, w / norm)).collect()
    }

    fn scores(&self, query: &Bag, docs: &[Bag]) -> Vec<f64> {
        let query = self.vector(query);
        let score = |doc: &Bag| {
            let doc = self.vector(doc);
            query
                .iter()
                .map(|(g, w)| w * doc.get(g).unwrap_or(&0.0))
                .sum()
        };
        docs.iter().map(score).collect()
    }
}

/// Blocks as small as tests need them to be several.
fn blocks(analyzer: &Analyzer, texts: &[String]) -> Vec<TextBlock> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let parts = texts.chunks(100);
    parts
        .map(|part| TextBlock::prepared(analyzer, part))
        .collect()
}

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

/// Checks answers against all scores: right scores, best first, ties in order, none better left out.
fn check(hits: &Hits, scores: &[f64], k: usize) {
    const ERROR: f64 = 1e-6;
    let matching = scores.iter().filter(|&&score| score > 0.0).count();
    assert_eq!(hits.docs.len(), matching.min(k), "{hits:?} {scores:?}");
    for (&doc, &score) in hits.docs.iter().zip(&hits.scores) {
        let expected = scores[doc as usize];
        assert!(
            (score - expected).abs() < ERROR,
            "doc {doc}: {score}, not {expected}"
        );
    }
    let pairs: Vec<_> = hits.scores.iter().zip(&hits.docs).collect();
    for pair in pairs.windows(2) {
        let ((a, doc_a), (b, doc_b)) = (pair[0], pair[1]);
        assert!(a > b || (a == b && doc_a < doc_b), "{hits:?}");
    }
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    for (&score, best) in hits.scores.iter().zip(sorted) {
        assert!(
            (score - best).abs() < ERROR,
            "{score} in the place of {best}"
        );
    }
}

fn compare(
    analyzer: &Analyzer,
    weighting: Weighting,
    fitted: &[String],
    added: &[Vec<String>],
    queries: &[String],
) {
    let mut engine = Engine::fit(
        analyzer.clone(),
        weighting,
        blocks(analyzer, fitted),
        Progress::new(&go()),
    )
    .unwrap();
    let mut bags: Vec<Bag> = fitted.iter().map(|text| bag(analyzer, text)).collect();
    let oracle = Oracle::fit(weighting, &bags);
    for texts in added {
        engine
            .add(blocks(analyzer, texts), Progress::new(&go()))
            .unwrap();
        bags.extend(texts.iter().map(|text| bag(analyzer, text)));
    }
    let archive = Archive::from_bytes(engine.sections(serde_json::Value::Null).to_bytes()).unwrap();
    let (restored, _) = Engine::restore(&archive).unwrap();
    let scores: Vec<Vec<f64>> = queries
        .iter()
        .map(|query| oracle.scores(&bag(analyzer, query), &bags))
        .collect();
    for k in [1, 3, usize::MAX] {
        let answers = engine.search(queries, k, None, &go()).unwrap();
        for (hits, scores) in answers.iter().zip(&scores) {
            check(hits, scores, k);
        }
        assert_eq!(restored.search(queries, k, None, &go()).unwrap(), answers);
        for (query, hits) in queries.iter().zip(&answers) {
            let alone = engine.search(std::slice::from_ref(query), k, None, &go());
            assert_eq!(&alone.unwrap()[0], hits);
        }
    }
    // Removed documents and those that a filter leaves out are not found; the rest stays the same.
    let even = |doc: &u32| doc.is_multiple_of(2);
    let numbers = 0..bags.len() as u32;
    let kept: Vec<u32> = numbers.clone().filter(even).collect();
    let filtered = engine.search(queries, 3, Some(&kept), &go()).unwrap();
    engine.remove(&numbers.filter(|doc| !even(doc)).collect::<Vec<_>>());
    assert_eq!(engine.search(queries, 3, None, &go()).unwrap(), filtered);
    for (hits, scores) in filtered.iter().zip(&scores) {
        let halved: Vec<f64> = (0..)
            .zip(scores)
            .map(|(doc, &score)| if even(&doc) { score } else { 0.0 })
            .collect();
        check(hits, &halved, 3);
    }
}

fn bm25() -> Weighting {
    Weighting::Bm25 {
        k1: 1.5,
        b: 0.75,
        epsilon: 0.0,
    }
}

fn analyzers() -> impl Strategy<Value = Analyzer> {
    let unit = prop_oneof![Just(Unit::Char), Just(Unit::Word)];
    (unit, any::<bool>(), any::<bool>(), 1..5usize, 0..6usize).prop_map(
        |(unit, normalize, stop, shortest, more)| Analyzer {
            unit,
            normalize,
            stop_words: stop.then(|| ["ab", "the"].map(str::to_owned).into_iter().collect()),
            shortest,
            longest: shortest + more,
        },
    )
}

fn weightings() -> impl Strategy<Value = Weighting> {
    prop_oneof![
        Just(Weighting::TfIdf),
        Just(bm25()),
        (0.0..3.0f64, 0.0..=1.0f64, 0.0..0.5f64).prop_map(|(k1, b, epsilon)| Weighting::Bm25 {
            k1,
            b,
            epsilon
        }),
    ]
}

/// Texts full of repeats, of characters with images of several letters, and of none at all.
fn texts(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![
        "[ab ]{0,30}",
        "(the |ab|abc|b c |Î|ß|日|½|!){0,12}",
        "\\PC{0,12}",
        "(abc){0,40}",
        "a{0,90}",
    ];
    proptest::collection::vec(text, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_brute_force(
        analyzer in analyzers(),
        weighting in weightings(),
        fitted in texts(0..20),
        added in proptest::collection::vec(texts(0..6), 0..4),
        queries in texts(1..6),
    ) {
        compare(&analyzer, weighting, &fitted, &added, &queries);
    }
}

fn default_analyzer(unit: Unit, shortest: usize, longest: usize) -> Analyzer {
    Analyzer {
        unit,
        normalize: true,
        stop_words: None,
        shortest,
        longest,
    }
}

/// Sentences over a small vocabulary, with a long tail.
fn sentences(count: usize, words: usize) -> Vec<String> {
    let mut state = 7u64;
    let mut next = |bound: u64| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % bound
    };
    (0..count)
        .map(|_| {
            let length = 1 + next(words as u64);
            let word = |next: &mut dyn FnMut(u64) -> u64| {
                let rank = next(900) * next(900) / 900;
                format!("w{}{}", ["or", "ing", "é", "st"][rank as usize % 4], rank)
            };
            (0..length)
                .map(|_| word(&mut next))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn thousands_of_documents() {
    let texts = sentences(3_000, 14);
    let queries = sentences(3_040, 14).split_off(3_000);
    let (fitted, rest) = texts.split_at(2_000);
    let added = [rest[..700].to_vec(), rest[700..].to_vec()];
    for (weighting, longest) in [(Weighting::TfIdf, 7), (bm25(), 5)] {
        compare(
            &default_analyzer(Unit::Char, 3, longest),
            weighting,
            fitted,
            &added,
            &queries,
        );
        compare(
            &default_analyzer(Unit::Word, 1, 3),
            weighting,
            fitted,
            &added,
            &queries,
        );
    }
}

#[test]
fn a_long_text_does_not_cost_short_ones_their_precision() {
    let mut texts = sentences(60, 8);
    texts.push(sentences(4_000, 8).join(" "));
    texts.push("the same ".repeat(12_000));
    let queries = sentences(80, 8).split_off(60);
    for weighting in [Weighting::TfIdf, bm25()] {
        compare(
            &default_analyzer(Unit::Char, 3, 7),
            weighting,
            &texts,
            &[],
            &queries,
        );
    }
}

#[test]
fn a_text_of_one_letter_keeps_its_precision() {
    // Its norm is what is left of a million equal numbers when all but one are taken off again.
    let analyzer = Analyzer {
        normalize: false,
        ..default_analyzer(Unit::Char, 1, 1)
    };
    let long = "a".repeat(2_000_000) + "bc";
    let fitted = [long, "ab".to_owned(), "cd".to_owned(), "bd".to_owned()];
    let queries = ["a", "b", "bc", "abc"].map(str::to_owned);
    for (k1, b) in [(0.0, 0.0), (1.5, 0.0), (1.5, 0.75)] {
        let weighting = Weighting::Bm25 {
            k1,
            b,
            epsilon: 0.0,
        };
        compare(&analyzer, weighting, &fitted, &[], &queries);
    }
}

#[test]
fn several_segments_and_any_number_of_threads_give_the_same_answers() {
    // More documents than a segment holds, and a model that knows them all.
    let texts = sentences(66_000, 3);
    let queries = sentences(66_030, 6).split_off(66_000);
    for weighting in [Weighting::TfIdf, bm25()] {
        let analyzer = default_analyzer(Unit::Char, 3, 5);
        let answer = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let fit = || {
                Engine::fit(
                    analyzer.clone(),
                    weighting,
                    blocks(&analyzer, &texts),
                    Progress::new(&go()),
                )
                .unwrap()
            };
            let engine = pool.install(fit);
            assert_eq!(engine.segments(), 2);
            let search = || {
                assert_eq!(rayon::current_num_threads(), threads);
                engine.search(&queries, 50, None, &go()).unwrap()
            };
            pool.install(search)
        };
        let answers = answer(1);
        let bags: Vec<Bag> = texts.iter().map(|text| bag(&analyzer, text)).collect();
        let oracle = Oracle::fit(weighting, &bags);
        for (query, hits) in queries.iter().zip(&answers).take(2) {
            check(hits, &oracle.scores(&bag(&analyzer, query), &bags), 50);
        }
        for threads in [2, 8] {
            assert_eq!(answer(threads), answers);
        }
    }
}
