//! One model file: a shape, a format, and what chance and tests add. Writes it.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Seek, SeekFrom, Write};
use std::path::Path;

use crate::format::Format;
use crate::gguf;
use crate::keys::keys;
use crate::random::Random;
use crate::shape::Shape;
use crate::tensors::{Tensor, infos, tensors};
use crate::vocabulary::SPECIALS;
use crate::weights;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Layers, widths, tokenizer.
    pub shape: Shape,
    /// How matrices are stored.
    pub format: Format,
    /// Of the weights; any number.
    pub seed: u64,
    /// Whether special tokens can be chosen. Without it, a response ends by its limit of tokens or
    /// a full context, and nothing else.
    pub can_end: bool,
    /// No token has any of these ASCII characters.
    pub without: &'static str,
    /// Tensors begin at multiples of this, a power of two: 32 is usual.
    pub alignment_bytes: u32,
}

/// What goes where in the file.
struct Layout {
    header: Vec<u8>,
    /// With the offset of each in the file.
    tensors: Vec<(Tensor, u64)>,
    file_bytes: u64,
}

impl Spec {
    /// A model whose responses are as long as they may be.
    #[must_use]
    pub const fn new(shape: Shape, format: Format) -> Self {
        Self {
            shape,
            format,
            seed: 1,
            can_end: false,
            without: "",
            alignment_bytes: gguf::ALIGNMENT_BYTES,
        }
    }

    /// [`Shape::tiny`] in F32.
    #[must_use]
    pub const fn tiny() -> Self {
        Self::new(Shape::tiny(), Format::F32)
    }

    /// [`Shape::endless`] in `Q8_0`.
    #[must_use]
    pub const fn endless() -> Self {
        Self::new(Shape::endless(), Format::Q8_0)
    }

    /// Writes the file; one that is there is replaced. What lies between tensors is left a hole.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a shape that the format or the architecture cannot have,
    /// or an error of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let layout = self.layout()?;
        let mut out = BufWriter::new(File::create(path)?);
        self.write_to(&layout, &mut out)?;
        out.into_inner()?.set_len(layout.file_bytes)
    }

    /// The file in memory.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let layout = self.layout()?;
        let mut out = Cursor::new(Vec::new());
        self.write_to(&layout, &mut out)?;
        let mut bytes = out.into_inner();
        bytes.resize(layout.file_bytes as usize, 0);
        Ok(bytes)
    }

    /// Writes the header, and a hole in the place of the weights: all of them are 0. For a file of
    /// many gigabytes that takes no room.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_hollow(&self, path: &Path) -> io::Result<()> {
        let layout = self.layout()?;
        let mut file = File::create(path)?;
        file.write_all(&layout.header)?;
        file.set_len(layout.file_bytes)
    }

    fn write_to(&self, layout: &Layout, out: &mut (impl Write + Seek)) -> io::Result<()> {
        out.write_all(&layout.header)?;
        let mut random = Random::new(self.seed);
        let mut row = Vec::new();
        for (tensor, at_bytes) in &layout.tensors {
            out.seek(SeekFrom::Start(*at_bytes))?;
            for number in 0..tensor.rows() {
                row.clear();
                weights::row(tensor, &mut random, &mut row);
                if tensor.is_output && number < SPECIALS && !self.can_end {
                    // A logit of 0 is never among the highest.
                    row.fill(0);
                }
                out.write_all(&row)?;
            }
        }
        Ok(())
    }

    fn layout(&self) -> io::Result<Layout> {
        let tensors = self.checked_tensors()?;
        let infos = infos(&tensors, self.alignment_bytes);
        let header = gguf::header(&keys(self), &infos);
        let aligned = |bytes: u64| bytes.next_multiple_of(self.alignment_bytes.into());
        let begin_bytes = aligned(header.len() as u64);
        let places = infos.iter().map(|info| begin_bytes + info.offset_bytes);
        let tensors: Vec<(Tensor, u64)> = tensors.into_iter().zip(places).collect();
        let end = tensors
            .last()
            .map(|(tensor, at_bytes)| at_bytes + tensor.bytes());
        let file_bytes = aligned(end.unwrap_or(begin_bytes));
        Ok(Layout {
            header,
            tensors,
            file_bytes,
        })
    }

    fn checked_tensors(&self) -> io::Result<Vec<Tensor>> {
        let wrong = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if !self.alignment_bytes.is_power_of_two() {
            return wrong(format!("{} is no power of two", self.alignment_bytes));
        }
        let shape = &self.shape;
        let counts = [
            shape.layers,
            shape.heads,
            shape.kv_heads,
            shape.context_tokens,
        ];
        if counts.contains(&0) {
            return wrong("a model has at least one layer, head and token of context".into());
        }
        if !shape.embedding.is_multiple_of(shape.heads)
            || !shape.heads.is_multiple_of(shape.kv_heads)
        {
            let (width, heads, kv_heads) = (shape.embedding, shape.heads, shape.kv_heads);
            return wrong(format!(
                "an embedding of {width} cannot be shared by {heads} heads, or these by {kv_heads}"
            ));
        }
        if shape.vocabulary < Shape::MIN_VOCABULARY {
            let least = Shape::MIN_VOCABULARY;
            return wrong(format!("a vocabulary has at least {least} tokens"));
        }
        let tensors = tensors(shape, self.format);
        let odd = |tensor: &&Tensor| {
            tensor.columns == 0 || !tensor.columns.is_multiple_of(tensor.kind.block_weights())
        };
        match tensors.iter().find(odd) {
            None => Ok(tensors),
            Some(Tensor {
                name,
                columns,
                kind,
                ..
            }) => wrong(format!(
                "rows of {columns} weights ({name}) are no whole blocks of {kind:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(format: Format) -> Spec {
        Spec::new(Shape::tiny(), format)
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        for (name, format) in Format::NAMED {
            let spec = small(format);
            let bytes = spec.bytes().expect("a shape that works");
            assert_eq!(bytes, spec.bytes().expect("a shape that works"), "{name}");
            let other = Spec { seed: 2, ..spec }
                .bytes()
                .expect("a shape that works");
            assert_eq!(bytes.len(), other.len(), "{name}");
            assert_ne!(bytes, other, "{name}");
        }
    }

    #[test]
    fn a_hollow_file_has_the_same_header_and_length() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (whole, hollow) = (folder.path().join("whole"), folder.path().join("hollow"));
        let spec = small(Format::Q8_0);
        spec.write(&whole).expect("room");
        spec.write_hollow(&hollow).expect("room");
        let whole = std::fs::read(whole).expect("written");
        let hollow = std::fs::read(hollow).expect("written");
        assert_eq!(whole, spec.bytes().expect("a shape that works"));
        assert_eq!(whole.len(), hollow.len());
        let same = whole
            .iter()
            .zip(&hollow)
            .take_while(|(a, b)| a == b)
            .count();
        assert!(same > 4_096, "{same} bytes");
        assert!(hollow[same..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let tiny = Shape::tiny();
        let cases = [
            (Shape { heads: 5, ..tiny }, "shared by 5 heads"),
            (
                Shape {
                    kv_heads: 3,
                    ..tiny
                },
                "these by 3",
            ),
            (Shape { layers: 0, ..tiny }, "at least one layer"),
            (
                Shape {
                    vocabulary: 5,
                    ..tiny
                },
                "at least 384 tokens",
            ),
            (
                Shape {
                    feed_forward: 100,
                    ..tiny
                },
                "rows of 100 weights (blk.0.ffn_down",
            ),
        ];
        for (shape, part) in cases {
            let error = Spec::new(shape, Format::Q8_0)
                .bytes()
                .expect_err("it was written");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        }
        let odd = Spec {
            alignment_bytes: 48,
            ..small(Format::F32)
        };
        let error = odd.bytes().expect_err("it was written");
        assert!(error.to_string().contains("power of two"), "{error}");
    }
}
