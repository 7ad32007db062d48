//! Texts of a Python list, prepared by the worker threads while the next ones are looked up.

use super::documents::{TEXT_LINES, prefetch_item};
use super::enter::{guarded, receive};
use super::texts::utf8;
use crate::error::Error;
use crate::pool::pool;
use crate::retrieve::{Analyzer, TextBlock};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

/// A task for a thread: so many texts at most, and about so many bytes.
const TEXTS: usize = 2048;
const BYTES: usize = 1 << 20;
/// Texts between the one that is looked up and the one that is fetched.
const AHEAD: usize = 16;

type Strings<'py> = Vec<Bound<'py, PyString>>;
type Block = (usize, crate::error::Result<TextBlock>);

/// The texts without what the analyzer drops, in blocks.
///
/// Threads read the strings where Python has them, which cannot change and are held meanwhile.
pub fn prepared(analyzer: &Analyzer, texts: &Bound<'_, PyList>) -> PyResult<Vec<TextBlock>> {
    let py = texts.py();
    let count = texts.len();
    let parts = count.div_ceil(TEXTS);
    let held: Vec<OnceCell<Strings>> = (0..parts).map(|_| OnceCell::new()).collect();
    let views = |part: usize| -> PyResult<Vec<&str>> {
        let first = part * TEXTS;
        let strings = strings(texts, first..count.min(first + TEXTS))?;
        let strings = held[part].get_or_init(|| strings).iter();
        let view = |(index, string)| utf8(string, || format!("document {index}"));
        (first..).zip(strings).map(view).collect()
    };
    if parts == 1 {
        let views = views(0)?;
        if bytes(&views) <= BYTES {
            // Other threads would take longer.
            return Ok(vec![TextBlock::prepared(analyzer, &views)]);
        }
    }
    let cancel = AtomicBool::new(false);
    let (sender, mut receiver) = channel::<Block>();
    pool()?.in_place_scope(|scope| {
        let mut tasks = 0;
        let mut give_out = || {
            for part in 0..parts {
                for views in tasks_of(views(part)?) {
                    let (number, sender, cancel) = (tasks, sender.clone(), &cancel);
                    scope.spawn(move |_| {
                        let block = guarded(|| match cancel.load(Ordering::Relaxed) {
                            true => Err(Error::Interrupted),
                            false => Ok(TextBlock::prepared(analyzer, &views)),
                        });
                        // Nobody waits for it after an error.
                        let _ = sender.send((number, block));
                    });
                    tasks += 1;
                }
            }
            Ok(())
        };
        let outcome = give_out().and_then(|()| collect(py, &mut receiver, tasks));
        // After an error: threads may be busy with other work, and the scope waits for them. Not with the GIL.
        cancel.store(true, Ordering::Relaxed);
        drop(sender);
        let rest = &mut receiver;
        py.detach(move || while rest.recv().is_ok() {});
        outcome
    })
}

/// Waits for the blocks, and for signals, without the GIL.
fn collect(py: Python<'_>, blocks: &mut Receiver<Block>, count: usize) -> PyResult<Vec<TextBlock>> {
    let mut all: Vec<TextBlock> = (0..count).map(|_| TextBlock::default()).collect();
    let mut missing = count;
    while missing > 0 {
        if let Some((number, block)) = receive(py, blocks)? {
            all[number] = block?;
            missing -= 1;
        }
        py.check_signals()?;
    }
    Ok(all)
}

/// Some of the strings of a list.
fn strings<'py>(texts: &Bound<'py, PyList>, range: Range<usize>) -> PyResult<Strings<'py>> {
    let mut strings = Vec::with_capacity(range.len());
    for index in range {
        prefetch_item(texts, index + AHEAD, TEXT_LINES);
        let text = texts.get_item(index)?;
        strings.push(string(text, "document", index)?);
    }
    Ok(strings)
}

/// A query or document, the `index`-th of those given, as a string.
pub fn string<'py>(
    value: Bound<'py, PyAny>,
    what: &str,
    index: usize,
) -> PyResult<Bound<'py, PyString>> {
    value.cast_into::<PyString>().map_err(|error| {
        let kind = error.into_inner().get_type().name();
        PyTypeError::new_err(format!(
            "{what} {index}: a text must be a string, got {}",
            kind.map(|name| name.to_string()).unwrap_or_default()
        ))
    })
}

fn bytes(views: &[&str]) -> usize {
    views.iter().map(|view| view.len()).sum()
}

/// Cuts texts where there are enough bytes for a task.
fn tasks_of(views: Vec<&str>) -> Vec<Vec<&str>> {
    let mut tasks = vec![Vec::new()];
    let mut bytes = 0;
    for view in views {
        if bytes >= BYTES {
            tasks.push(Vec::new());
            bytes = 0;
        }
        bytes += view.len();
        tasks.last_mut().expect("there is one").push(view);
    }
    tasks
}
