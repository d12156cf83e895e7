//! A key/value cache as it is after many tokens, without computing them: made of the rows of a few
//! real tokens. What attention does then depends on how many rows there are, and hardly on what is
//! in them: a highest score so far makes it scale its sums again. So each cell gets a real row by
//! chance, and its key by a factor by chance: scores without an order have as many such highest
//! ones as those of a text. Time and instructions of the next token are those at that position; its
//! logits mean nothing. For measurements only ([`crate::session::Session::bench`]).
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
    let cells = from.u32()?;
    if cells == 0 || tokens < cells {
        return Err(Unreadable);
    }
    to.extend(tokens.to_le_bytes());
    positions(&mut from, cells, tokens, &mut to)?;
    let choices = Choices::new(cells, tokens)?;
    let values_are_columns = from.copy_u32(&mut to)? != 0;
    let layers = from.copy_u32(&mut to)?;
    // How often keys and values were rotated.
    to.extend(from.take(8)?);
    for _ in 0..layers {
        keys(&mut from, &choices, &mut to)?;
    }
    for _ in 0..layers {
        match values_are_columns {
            true => columns(&mut from, &choices, &mut to)?,
            false => rows(&mut from, &choices, &mut to).map(drop)?,
        }
    }
    match from.0 {
        [] => Ok(to),
        _ => Err(Unreadable),
    }
}

/// Which real cell each cell takes after.
struct Choices {
    /// Real cells.
    real: usize,
    /// For each cell the real one, and what its key is multiplied by.
    chosen: Vec<(usize, f32)>,
}

impl Choices {
    fn new(real: u32, cells: u32) -> Read<Self> {
        const SEED: u32 = 1;
        const FACTORS: u32 = 1 << 16;
        let real = usize::try_from(real).map_err(|_| Unreadable)?;
        let mut state = SEED;
        // xorshift32 (Marsaglia 2003).
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let chosen = (0..cells).map(|_| {
            // From 0.5 to 1.5.
            let factor = f64::from(random() % FACTORS) / f64::from(FACTORS) + 0.5;
            #[allow(
                clippy::cast_possible_truncation,
                reason = "16 bits of fraction are enough"
            )]
            (random() as usize % real, factor as f32)
        });
        let chosen = chosen.collect();
        Ok(Self { real, chosen })
    }
}

/// For each cell its position, and its sequences with their number.
fn positions(from: &mut Reader, cells: u32, tokens: u32, to: &mut Vec<u8>) -> Read<()> {
    let mut sequence = [0; 4];
    for _ in 0..cells {
        from.take(4)?;
        if from.u32()? != 1 {
            return Err(Unreadable);
        }
        sequence.copy_from_slice(from.take(4)?);
    }
    for position in 0..tokens {
        to.extend(position.to_le_bytes());
        to.extend(1_u32.to_le_bytes());
        to.extend(sequence);
    }
    Ok(())
}

/// The keys of a layer, each multiplied by its factor where they are half-precision numbers.
fn keys(from: &mut Reader, choices: &Choices, to: &mut Vec<u8>) -> Read<()> {
    /// `GGML_TYPE_F16`.
    const HALVES: u32 = 1;
    let (kind, row_bytes) = rows(from, choices, to)?;
    if kind != HALVES || row_bytes == 0 {
        return Ok(());
    }
    let begin = to.len() - choices.chosen.len() * row_bytes;
    let rows = to[begin..].chunks_exact_mut(row_bytes);
    for (row, (_, factor)) in rows.zip(&choices.chosen) {
        for half in row.as_chunks_mut::<2>().0 {
            *half = scaled(u16::from_le_bytes(*half), *factor).to_le_bytes();
        }
    }
    Ok(())
}

/// A half-precision number times a factor near 1, rounded down. One without an exponent, and so
/// next to 0, is left as it is.
fn scaled(half: u16, factor: f32) -> u16 {
    /// Between the biases of the exponents of half and single precision.
    const BIAS: u32 = 127 - 15;
    const FRACTION: u32 = 23 - 10;
    let (sign, magnitude) = (half & 0x8000, half & 0x7fff);
    if !(0x0400..0x7c00).contains(&magnitude) {
        return half;
    }
    let value = f32::from_bits((u32::from(magnitude) << FRACTION) + (BIAS << 23)) * factor;
    let bits = (value.to_bits() >> FRACTION).checked_sub(BIAS << 10);
    match bits.and_then(|bits| u16::try_from(bits).ok()) {
        Some(bits @ 0x0400..0x7c00) => sign | bits,
        _ => half,
    }
}

/// A layer in which each cell has a row: the type, the bytes of a row, the rows. Gives the first
/// two.
fn rows(from: &mut Reader, choices: &Choices, to: &mut Vec<u8>) -> Read<(u32, usize)> {
    let kind = from.copy_u32(to)?;
    let row_bytes = from.take(8)?;
    to.extend(row_bytes);
    let row_bytes = row_bytes.try_into().map_err(|_| Unreadable)?;
    let row_bytes = usize::try_from(u64::from_le_bytes(row_bytes)).map_err(|_| Unreadable)?;
    choose(from, row_bytes, choices, to)?;
    Ok((kind, row_bytes))
}

/// A layer in which each cell has a column: the type, the bytes of an element, the number of rows,
/// and these.
fn columns(from: &mut Reader, choices: &Choices, to: &mut Vec<u8>) -> Read<()> {
    from.copy_u32(to)?;
    let element_bytes = usize::try_from(from.copy_u32(to)?).map_err(|_| Unreadable)?;
    for _ in 0..from.copy_u32(to)? {
        choose(from, element_bytes, choices, to)?;
    }
    Ok(())
}

/// What each real cell has, `each_bytes` of it, for the cells that take after it.
fn choose(from: &mut Reader, each_bytes: usize, choices: &Choices, to: &mut Vec<u8>) -> Read<()> {
    let all_bytes = choices.real.checked_mul(each_bytes).ok_or(Unreadable)?;
    let real = from.take(all_bytes)?;
    for (cell, _) in &choices.chosen {
        to.extend(&real[cell * each_bytes..][..each_bytes]);
    }
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

    /// The half-precision number 1.
    const ONE: u16 = 0x3c00;

    /// One layer, keys of one half, values of two; `cells` of them.
    fn state(cells: u16, are_columns: bool) -> Vec<u8> {
        let mut bytes = b"magicseq".to_vec();
        let mut numbers = |all: &[u32]| all.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        numbers(&[1, cells.into()]);
        for position in 0..cells {
            numbers(&[position.into(), 1, 0]);
        }
        numbers(&[are_columns.into(), 1, 0, 0]);
        // The type, and the bytes of a row in 64 bits.
        numbers(&[1, 2, 0]);
        (0..cells).for_each(|_| bytes.extend(ONE.to_le_bytes()));
        let mut numbers = |all: &[u32]| all.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        match are_columns {
            true => numbers(&[1, 2, 2]),
            false => numbers(&[1, 4, 0]),
        }
        for _ in 0..2 {
            (0..cells).for_each(|cell| bytes.extend(cell.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn a_longer_state_has_the_form_of_one() {
        for are_columns in [false, true] {
            let made = repeated(&state(2, are_columns), 6).expect("understood");
            let real = state(6, are_columns);
            assert_eq!(made.len(), real.len());
            // Header, positions, and what comes before the keys.
            assert_eq!(made[..116], real[..116]);
            let keys = made[116..128].as_chunks::<2>().0.iter();
            let keys: Vec<_> = keys.map(|key| u16::from_le_bytes(*key)).collect();
            assert!(
                keys.iter().all(|key| (0x3800..0x3e00).contains(key)),
                "{keys:x?}"
            );
            assert!(keys.iter().any(|key| *key != keys[0]), "{keys:x?}");
            assert_eq!(made[128..140], real[128..140]);
            let mut values = made[140..].as_chunks::<2>().0.iter();
            assert!(values.all(|value| u16::from_le_bytes(*value) < 2));
        }
    }

    #[test]
    fn factors_of_halves() {
        assert_eq!(scaled(ONE, 1.5), 0x3e00);
        assert_eq!(scaled(0x8000 | ONE, 0.5), 0xb800);
        assert_eq!(scaled(0, 1.5), 0);
        // The largest number, and an infinity.
        assert_eq!(scaled(0x7bff, 1.5), 0x7bff);
        assert_eq!(scaled(0x7c00, 1.5), 0x7c00);
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
