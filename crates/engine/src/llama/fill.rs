//! A key/value cache as it is after many tokens, without computing them: the rows of a few real
//! tokens, repeated. What attention does then depends on how many rows there are, hardly on what
//! is in them, so time and instructions of the next token are those at that position; its logits
//! mean nothing. For measurements only ([`crate::session::Session::bench`]).
//!
//! Pure: takes apart the bytes of `llama_state_seq_get_data` and puts together longer ones for
//! `llama_state_seq_set_data`. The format is llama.cpp's own and may change with it; whatever is
//! not understood to the last byte is refused.

/// Bytes that cannot be read here: another format, or a model with a cache of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

type Read<T> = Result<T, Unreadable>;

/// The state of a sequence of `tokens` tokens from that of a shorter one.
pub(super) fn repeated(state: &[u8], tokens: u32) -> Read<Vec<u8>> {
    let mut from = Reader(state);
    let mut to = Vec::new();
    // The magic number and the sequence.
    to.extend(from.take(8)?);
    // `llama_kv_cache::state_write`: one stream, then its cells.
    if from.copy_u32(&mut to)? != 1 {
        return Err(Unreadable);
    }
    let cells = Cells {
        from: usize::try_from(from.u32()?).map_err(|_| Unreadable)?,
        to: usize::try_from(tokens).map_err(|_| Unreadable)?,
    };
    if cells.from == 0 || cells.to < cells.from {
        return Err(Unreadable);
    }
    to.extend(tokens.to_le_bytes());
    positions(&mut from, cells, &mut to)?;
    let values_are_columns = from.copy_u32(&mut to)? != 0;
    let layers = from.copy_u32(&mut to)?;
    // How often keys and values were rotated.
    to.extend(from.take(8)?);
    for _ in 0..layers {
        rows(&mut from, cells, &mut to)?;
    }
    for _ in 0..layers {
        match values_are_columns {
            true => columns(&mut from, cells, &mut to)?,
            false => rows(&mut from, cells, &mut to)?,
        }
    }
    match from.0 {
        [] => Ok(to),
        _ => Err(Unreadable),
    }
}

#[derive(Clone, Copy)]
struct Cells {
    from: usize,
    to: usize,
}

/// For each cell its position, and its sequences with their number.
fn positions(from: &mut Reader, cells: Cells, to: &mut Vec<u8>) -> Read<()> {
    let mut sequence = [0; 4];
    for _ in 0..cells.from {
        from.take(4)?;
        if from.u32()? != 1 {
            return Err(Unreadable);
        }
        sequence.copy_from_slice(from.take(4)?);
    }
    for position in 0..cells.to {
        to.extend(
            u32::try_from(position)
                .map_err(|_| Unreadable)?
                .to_le_bytes(),
        );
        to.extend(1_u32.to_le_bytes());
        to.extend(sequence);
    }
    Ok(())
}

/// A layer in which each cell has a row: the type, the bytes of a row, the rows.
fn rows(from: &mut Reader, cells: Cells, to: &mut Vec<u8>) -> Read<()> {
    from.copy_u32(to)?;
    let row_bytes = from.take(8)?;
    to.extend(row_bytes);
    let row_bytes = row_bytes.try_into().map_err(|_| Unreadable)?;
    let row_bytes = usize::try_from(u64::from_le_bytes(row_bytes)).map_err(|_| Unreadable)?;
    repeat(from, row_bytes, cells, to)
}

/// A layer in which each cell has a column: the type, the bytes of an element, the number of rows,
/// and these.
fn columns(from: &mut Reader, cells: Cells, to: &mut Vec<u8>) -> Read<()> {
    from.copy_u32(to)?;
    let element_bytes = usize::try_from(from.copy_u32(to)?).map_err(|_| Unreadable)?;
    for _ in 0..from.copy_u32(to)? {
        repeat(from, element_bytes, cells, to)?;
    }
    Ok(())
}

fn repeat(from: &mut Reader, each_bytes: usize, cells: Cells, to: &mut Vec<u8>) -> Read<()> {
    let all_bytes = |cells: usize| cells.checked_mul(each_bytes).ok_or(Unreadable);
    let source = from.take(all_bytes(cells.from)?)?;
    to.extend(source.iter().cycle().take(all_bytes(cells.to)?));
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Read<u32> {
        let bytes = self.take(4)?.try_into().map_err(|_| Unreadable)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn copy_u32(&mut self, to: &mut Vec<u8>) -> Read<u32> {
        let number = self.u32()?;
        to.extend(number.to_le_bytes());
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One layer, rows of 4 bytes; `cells` of them.
    fn state(cells: u32, columns: bool) -> Vec<u8> {
        let mut bytes = b"magicseq".to_vec();
        let mut number = |n: u32| bytes.extend(n.to_le_bytes());
        number(1);
        number(cells);
        for position in 0..cells {
            [position, 1, 0].into_iter().for_each(&mut number);
        }
        [u32::from(columns), 1, 0, 0]
            .into_iter()
            .for_each(&mut number);
        [1, 4, 0].into_iter().for_each(&mut number);
        (0..cells).for_each(|cell| number(cell % 2));
        if columns {
            [1, 2, 2].into_iter().for_each(&mut number);
            for row in 0..2_u16 {
                let halves =
                    (0..cells).map(|cell| (row + 7 * u16::from(cell % 2 == 1)).to_le_bytes());
                halves.for_each(|half| bytes.extend(half));
            }
        } else {
            [1, 4, 0].into_iter().for_each(&mut number);
            (0..cells).for_each(|cell| number(5 + cell % 2));
        }
        bytes
    }

    #[test]
    fn a_short_sequence_repeated_is_a_long_one() {
        for columns in [false, true] {
            assert_eq!(repeated(&state(2, columns), 6), Ok(state(6, columns)));
            assert_eq!(repeated(&state(2, columns), 2), Ok(state(2, columns)));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let state = state(2, false);
        for bytes in 0..state.len() {
            assert_eq!(repeated(&state[..bytes], 4), Err(Unreadable), "{bytes}");
        }
        let longer = [&state[..], &[0]].concat();
        assert_eq!(repeated(&longer, 4), Err(Unreadable));
        assert_eq!(repeated(&state, 1), Err(Unreadable));
    }
}
