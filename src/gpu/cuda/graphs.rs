//! CUDA graphs: calls that come again are captured once and then launched as one.
#![allow(unsafe_code)]

use anyhow::Result;
use cudarc::driver::{result, sys};

use super::driver;
use super::heap::no_capture;
use crate::gpu::calls::{Call, Next, Repeats};

/// The graphs by their calls.
#[derive(Default)]
pub(super) struct Graphs(Repeats<sys::CUgraphExec>);

impl Graphs {
    /// Asks for calls: one by one, or, where they have come before, by their graph.
    ///
    /// # Safety
    /// The stream must be alive, the context bound, and `ask` must be allowed to ask for each call in that stream.
    pub unsafe fn ask(
        &mut self,
        calls: &[Call],
        stream: sys::CUstream,
        ask: &dyn Fn(&Call) -> Result<()>,
    ) -> Result<()> {
        let key = Repeats::<sys::CUgraphExec>::key(calls);
        let made = match self.0.next(&key) {
            Next::Plain => return calls.iter().try_for_each(ask),
            // SAFETY: the graph is alive until `close`; it is of these very calls, and the rest by our own contract.
            Next::Ready(graph) => return unsafe { launch(*graph, stream) },
            // SAFETY: by our own contract.
            Next::Make => unsafe { capture(calls, stream, ask) },
        };
        match made {
            Ok(graph) => {
                self.0.keep(key, Some(graph));
                // SAFETY: as above.
                unsafe { launch(graph, stream) }
            }
            Err(error) => {
                tracing::warn!("no CUDA graph: {error:#}");
                self.0.keep(key, None);
                calls.iter().try_for_each(ask)
            }
        }
    }

    /// Gives everything back; the stream must have been waited for.
    pub fn close(&mut self) {
        for graph in self.0.drain() {
            // SAFETY: ours, and not used again.
            let _ = unsafe { result::graph::exec_destroy(graph) };
        }
    }
}

/// # Safety
/// Graph and stream must be alive, and so the memory that the graph's calls name.
unsafe fn launch(graph: sys::CUgraphExec, stream: sys::CUstream) -> Result<()> {
    // SAFETY: by our own contract.
    unsafe { result::graph::launch(graph, stream) }.map_err(driver("launching a graph"))
}

/// # Safety
/// As for [`Graphs::ask`].
unsafe fn capture(
    calls: &[Call],
    stream: sys::CUstream,
    ask: &dyn Fn(&Call) -> Result<()>,
) -> Result<sys::CUgraphExec> {
    // Other threads may go on as they like, but for one thing.
    let _guard = no_capture();
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    // SAFETY: the stream is alive; what is asked for until the end is kept, not run.
    let (asked, graph) = unsafe {
        result::stream::begin_capture(stream, mode).map_err(driver("beginning a capture"))?;
        // To be ended however that goes.
        (calls.iter().try_for_each(ask), result::stream::end_capture(stream))
    };
    let graph = graph.map_err(driver("ending a capture"));
    // SAFETY: the graph is alive until it is destroyed, and what is made of it stands on its own.
    unsafe {
        let made = match (asked, graph) {
            (Ok(()), Ok(graph)) => {
                let made = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
                (made.map_err(driver("making a graph")), Some(graph))
            }
            (Err(error), graph) => (Err(error.context("in a capture")), graph.ok()),
            (_, Err(error)) => (Err(error), None),
        };
        let (made, captured) = made;
        let _ = captured.map(|graph| result::graph::destroy(graph));
        made
    }
}
