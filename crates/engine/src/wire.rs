//! Frames between the daemon and the child: a length, then JSON.
//!
//! ```text
//! u32, little-endian   length of the body in bytes, 1 to MAX_FRAME_BYTES
//! body                 one ToWorker or FromWorker value as UTF-8 JSON
//! ```
//! Either side treats the other as hostile: a length out of range or a body that is not what is
//! expected ends the conversation, and never more than one frame and one read are buffered. Pure.

use serde::{Deserialize, Serialize};
use serde_json::from_slice;

use crate::backend::Backend;
use crate::error::Failure;
use crate::options::ModelOptions;
use crate::report::{PromptStyle, Summary};
use crate::request::Request;

/// Longest body. A prompt is at most a few hundred KiB, and JSON may write a byte as six.
pub const MAX_FRAME_BYTES: usize = 4 << 20;
/// Bytes of the length before each body.
pub const HEADER_BYTES: usize = 4;

/// What the daemon says to the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ToWorker {
    /// First and once: limits, and the model that this process is for.
    Load {
        /// Who must be the parent; the child ends when it is not.
        parent_pid: u32,
        /// Added to the scheduling priority: 0 to 19.
        nice: i32,
        /// Most memory, weights included.
        memory_limit_bytes: u64,
        /// The model.
        model: ModelOptions,
    },
    /// Answer this. Only after `Loaded`, and after the request before has ended.
    Run {
        /// Comes back in every frame about it.
        id: u64,
        /// The prompt and its settings.
        request: Request,
    },
    /// Stop working on that request, answer `Cancelled`. Ignored when it has ended already.
    Cancel {
        /// Which one.
        id: u64,
    },
}

/// What the child says to the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FromWorker {
    /// The model is ready.
    Loaded {
        /// How prompts are put to it.
        prompt_style: PromptStyle,
        /// Context in tokens.
        context_tokens: u32,
        /// What computes: not what was asked for where that cannot be had.
        backend: Backend,
        /// How long it took.
        load_ms: f64,
    },
    /// The model cannot be loaded; the process ends.
    LoadFailed {
        /// Why.
        failure: Failure,
    },
    /// The prompt fits; its computation begins.
    Started {
        /// The request.
        id: u64,
        /// Its length with its template.
        prompt_tokens: u32,
    },
    /// More of the prompt has been computed.
    Prefilled {
        /// The request.
        id: u64,
        /// Tokens so far.
        tokens: u32,
    },
    /// More of the response.
    Text {
        /// The request.
        id: u64,
        /// Whole characters.
        text: String,
    },
    /// The request is answered.
    Finished {
        /// The request.
        id: u64,
        /// Counts and times; `load_ms` is 0 here.
        summary: Summary,
    },
    /// The request failed; the process goes on.
    Failed {
        /// The request.
        id: u64,
        /// Why.
        failure: Failure,
    },
    /// The request was cancelled.
    Cancelled {
        /// The request.
        id: u64,
    },
}

/// A frame that breaks the rules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The length is 0 or above [`MAX_FRAME_BYTES`].
    #[error("a frame of {bytes} bytes, 1 to {MAX_FRAME_BYTES} are allowed")]
    Length {
        /// The length as read or about to be written.
        bytes: usize,
    },
    /// The body is not what is expected here.
    #[error("a frame cannot be understood: {0}")]
    Body(#[from] serde_json::Error),
}

/// Writes a frame.
///
/// # Errors
/// When the body is too long, or cannot be JSON (a path that is not UTF-8).
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, value)?;
    let bytes = frame.len() - HEADER_BYTES;
    let header = u32::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MAX_FRAME_BYTES);
    let header = header.ok_or(WireError::Length { bytes })?;
    frame[..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    Ok(frame)
}

/// Takes frames out of bytes that arrive in pieces.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// How much of `bytes` was given out already.
    taken: usize,
}

impl FrameBuffer {
    /// Takes what was read. Call [`Self::take`] until it gives `None` before reading more: that is
    /// what bounds the buffer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the frame breaks the rules; the conversation is over then.
    pub fn take<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, WireError> {
        let rest = &self.bytes[self.taken..];
        let Some((header, body)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_FRAME_BYTES {
            return Err(WireError::Length { bytes: length });
        }
        let Some(body) = body.get(..length) else {
            return Ok(None);
        };
        let value = from_slice(body)?;
        self.taken += HEADER_BYTES + length;
        Ok(Some(value))
    }

    /// Whether bytes of an unfinished frame are left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(id: u64, text: &str) -> FromWorker {
        FromWorker::Text {
            id,
            text: text.into(),
        }
    }

    proptest! {
        /// Frames survive any splitting of the stream.
        #[test]
        fn any_splitting_gives_the_same_frames(
            texts in prop::collection::vec(".{0,30}", 0..10),
            step in 1usize..50,
        ) {
            let frames: Vec<FromWorker> =
                texts.iter().enumerate().map(|(i, t)| text(i as u64, t)).collect();
            let stream: Vec<u8> = frames.iter().flat_map(|f| encode(f).unwrap()).collect();
            let mut buffer = FrameBuffer::default();
            let mut out = Vec::new();
            for piece in stream.chunks(step) {
                buffer.push(piece);
                while let Some(frame) = buffer.take::<FromWorker>().unwrap() {
                    out.push(frame);
                }
            }
            prop_assert_eq!(out, frames);
            prop_assert!(buffer.is_empty());
        }

        /// Random bytes end in an error or in waiting, never in a panic or a large buffer.
        #[test]
        fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = FrameBuffer::default();
            buffer.push(&bytes);
            let mut frames = 0;
            while let Ok(Some(_)) = buffer.take::<FromWorker>() {
                frames += 1;
                prop_assert!(frames <= bytes.len());
            }
        }
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        for bytes in [[0u8; 4], u32::MAX.to_le_bytes()] {
            let mut buffer = FrameBuffer::default();
            buffer.push(&bytes);
            assert!(matches!(
                buffer.take::<FromWorker>(),
                Err(WireError::Length { .. })
            ));
        }
        let long = text(0, &"x".repeat(MAX_FRAME_BYTES));
        assert!(matches!(encode(&long), Err(WireError::Length { .. })));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let body = br#"{"cancelled":{"id":1,"extra":2}}"#;
        let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(body);
        let mut buffer = FrameBuffer::default();
        buffer.push(&bytes);
        assert!(matches!(
            buffer.take::<FromWorker>(),
            Err(WireError::Body(_))
        ));
    }
}
