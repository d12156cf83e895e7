//! Target of the GGUF reader: any header is read or refused, in memory that follows the header's
//! own length, and its figures never overflow.

use std::io::{self, BufRead, BufReader, Read};

use gguf::{Card, GgufError, MAX_KEYS, MAX_TENSORS, read_header};

use crate::alloc::peak_of;
use crate::input::Input;

/// Memory that a header costs whatever is in it: buffers, tables that grow, an error's text.
const FIXED_BYTES: u64 = 64 * 1024;
/// Memory for each byte of the header: a tensor is described in at least 25 bytes and kept in a
/// list, and its name in a set as well, each of which grows; an integer of one byte takes 16.
const TIMES: u64 = 64;
/// Longest text of an error.
const ERROR_BYTES: usize = 600;

/// The first three bytes say by how many KiB the file goes on after the rest; the rest is the
/// header.
pub fn gguf_header(data: &[u8]) {
    let mut input = Input(data);
    let (Some(low), Some(high)) = (input.u16(), input.u8()) else {
        return;
    };
    let weights_bytes = (u64::from(low) | u64::from(high) << 16) * 1024;
    let file_bytes = input.0.len() as u64 + weights_bytes;
    let source = input
        .0
        .chain(BufReader::new(io::repeat(0)).take(weights_bytes));
    let mut counted = Counted { source, bytes: 0 };
    let (header, memory_bytes) = peak_of(|| read_header(&mut counted, file_bytes));
    let limit_bytes = FIXED_BYTES + TIMES * counted.bytes.min(file_bytes);
    assert!(
        memory_bytes <= limit_bytes,
        "{memory_bytes} of {limit_bytes}"
    );
    let header = match header {
        Ok(header) => header,
        Err(error) => return check_error(&error),
    };
    assert!(header.values.len() as u64 <= MAX_KEYS);
    assert!(header.tensors.len() as u64 <= MAX_TENSORS);
    for tensor in &header.tensors {
        assert!(tensor.offset_bytes >= header.data_offset_bytes);
        let end = tensor.offset_bytes.checked_add(tensor.bytes);
        assert!(end.is_some_and(|end| end <= file_bytes), "{tensor:?}");
    }
    // As if a backend packed every other tensor into more than can be.
    let packed = |tensor: &gguf::Tensor| match tensor.kind.id % 3 {
        0 => None,
        1 => Some(tensor.bytes / 2),
        _ => Some(u64::MAX - 1),
    };
    match Card::from_header(&header, file_bytes, packed) {
        Ok(card) => assert!(card.tensor_bytes <= file_bytes),
        Err(error) => check_error(&error),
    }
}

fn check_error(error: &GgufError) {
    let text = error.to_string();
    assert!(text.len() <= ERROR_BYTES, "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Counts the bytes that are read.
struct Counted<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buf)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.bytes += count as u64;
        self.source.consume(count);
    }
}
