//! The functions of the program that runs: which one an address is in, and where those with a
//! certain beginning of their name are. Reads the symbol table of a 32-bit little-endian ELF file,
//! so the file must not be stripped. Used by the edge to QEMU.

use std::collections::BTreeMap;

/// Names begin with it for places that separate code and data; they are no functions.
const MAPPING: char = '$';
/// `e_ident` of such a file.
const IDENT: &[u8] = b"\x7fELF\x01\x01";
/// Section type of the symbol table.
const SHT_SYMTAB: u32 = 2;
const SECTION_HEADER_BYTES: usize = 40;
const SYMBOL_BYTES: usize = 16;
/// Section flag: holds instructions.
const SHF_EXECINSTR: u32 = 4;
/// Symbol types: functions, and what an assembler gave no type.
const STT_FUNC: u8 = 2;
const STT_NOTYPE: u8 = 0;

/// Why a file has no symbols for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolError {
    /// Another kind of file.
    #[error("the program is no 32-bit little-endian ELF file")]
    Format,
    /// Offsets that lead out of the file.
    #[error("the program's file is damaged")]
    Damaged,
    /// No symbol table.
    #[error("the program has no symbols; run the file that was not stripped")]
    Stripped,
}

/// See the module. Addresses are those of the file.
#[derive(Debug, Default)]
pub struct Symbols {
    /// By the address of the first instruction; with the end, if the table says a size.
    functions: BTreeMap<u32, (String, Option<u32>)>,
    /// `e_entry`, to find out where the file was loaded.
    pub entry: u32,
}

struct Section {
    kind: u32,
    flags: u32,
    offset: usize,
    size: usize,
    link: usize,
}

impl Symbols {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`SymbolError`].
    pub fn read(file: &[u8]) -> Result<Self, SymbolError> {
        const ENTRY_AT: usize = 24;
        if !file.starts_with(IDENT) {
            return Err(SymbolError::Format);
        }
        let sections = sections(file).ok_or(SymbolError::Damaged)?;
        let table = sections.iter().find(|section| section.kind == SHT_SYMTAB);
        let table = table.ok_or(SymbolError::Stripped)?;
        let functions = functions(file, &sections, table).ok_or(SymbolError::Damaged)?;
        let entry = word(file, ENTRY_AT).ok_or(SymbolError::Damaged)?;
        Ok(Self { functions, entry })
    }

    /// The function that an address is in. A symbol without a size goes on to the next one.
    #[must_use]
    pub fn name(&self, address: u32) -> Option<&str> {
        let (_, (name, end)) = self.functions.range(..=address).next_back()?;
        end.is_none_or(|end| address < end).then_some(name.as_str())
    }

    /// What follows `prefix` in the name of a function that begins here.
    #[must_use]
    pub fn mark(&self, address: u32, prefix: &str) -> Option<&str> {
        let (name, _) = self.functions.get(&address)?;
        name.strip_prefix(prefix)
    }
}

fn sections(file: &[u8]) -> Option<Vec<Section>> {
    const HEADERS_AT: usize = 32;
    const COUNT_AT: usize = 48;
    let headers = word(file, HEADERS_AT)? as usize;
    let count = half(file, COUNT_AT)?;
    let each = (0..usize::from(count)).map(|number| {
        let header = file.get(headers + number * SECTION_HEADER_BYTES..)?;
        Some(Section {
            kind: word(header, 4)?,
            flags: word(header, 8)?,
            offset: word(header, 16)? as usize,
            size: word(header, 20)? as usize,
            link: word(header, 24)? as usize,
        })
    });
    each.collect()
}

type Functions = BTreeMap<u32, (String, Option<u32>)>;

fn functions(file: &[u8], sections: &[Section], table: &Section) -> Option<Functions> {
    let names = contents(file, sections.get(table.link)?)?;
    let mut functions = Functions::new();
    for symbol in contents(file, table)?.chunks_exact(SYMBOL_BYTES) {
        let (kind, section) = (symbol.get(12)? & 0xf, half(symbol, 14)?);
        let holder = sections.get(usize::from(section));
        let is_code = holder.is_some_and(|holder| holder.flags & SHF_EXECINSTR != 0);
        if !is_code || !matches!(kind, STT_FUNC | STT_NOTYPE) {
            continue;
        }
        let name = names.get(word(symbol, 0)? as usize..)?;
        let name = name.split(|&byte| byte == 0).next()?;
        let name = String::from_utf8_lossy(name).into_owned();
        if name.is_empty() || name.starts_with(MAPPING) {
            continue;
        }
        // The lowest bit says Thumb.
        let (address, size) = (word(symbol, 4)? & !1, word(symbol, 8)?);
        let end = (size != 0).then(|| address.saturating_add(size));
        let known = functions.get(&address);
        // A name with a size is the better one; of two, the first in the table.
        if known.is_none_or(|(_, known)| known.is_none() && end.is_some()) {
            functions.insert(address, (name, end));
        }
    }
    Some(functions)
}

fn contents<'a>(file: &'a [u8], section: &Section) -> Option<&'a [u8]> {
    file.get(section.offset..section.offset.checked_add(section.size)?)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    reason = "a file of some hundred bytes"
)]
mod tests {
    use super::*;

    /// A file with a section of code, a symbol table and its names.
    fn file() -> Vec<u8> {
        let mut file = IDENT.to_vec();
        file.resize(52, 0);
        let names = b"\0first\0$a\0mark_two\0data\0";
        // Name, address, size, kind, section.
        let symbols: [(u32, u32, u32, u8, u16); 4] = [
            (1, 0x1000, 16, STT_FUNC, 1),
            (7, 0x1008, 0, STT_NOTYPE, 1),
            (10, 0x1021, 0, STT_FUNC, 1),
            (19, 0x1030, 4, STT_NOTYPE, 2),
        ];
        let table_at = file.len() as u32;
        for (name, address, size, kind, section) in symbols {
            for word in [name, address, size] {
                file.extend(word.to_le_bytes());
            }
            file.extend([kind, 0]);
            file.extend(section.to_le_bytes());
        }
        let names_at = file.len() as u32;
        file.extend(names);
        let headers_at = file.len() as u32;
        let sections = [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 1, SHF_EXECINSTR, 0x1000, 0, 0, 0, 0, 0, 0],
            [0, SHT_SYMTAB, 0, 0, table_at, 64, 3, 0, 0, 16],
            [0, 3, 0, 0, names_at, names.len() as u32, 0, 0, 0, 0],
        ];
        for word in sections.into_iter().flatten() {
            file.extend(word.to_le_bytes());
        }
        file[24..28].copy_from_slice(&0x1004_u32.to_le_bytes());
        file[32..36].copy_from_slice(&headers_at.to_le_bytes());
        file[48] = 4;
        file
    }

    #[test]
    fn addresses_have_names() {
        let symbols = Symbols::read(&file()).expect("a good file");
        assert_eq!(symbols.entry, 0x1004);
        assert_eq!(symbols.name(0x0fff), None);
        assert_eq!(symbols.name(0x100c), Some("first"));
        assert_eq!(symbols.name(0x1010), None);
        assert_eq!(symbols.name(0x9999), Some("mark_two"));
        assert_eq!(symbols.mark(0x1020, "mark_"), Some("two"));
        assert_eq!(symbols.mark(0x1000, "mark_"), None);
    }

    #[test]
    fn other_files_are_refused() {
        let refused = |file: &[u8]| Symbols::read(file).expect_err("it was read");
        assert_eq!(refused(b"#!/bin/sh"), SymbolError::Format);
        let file = file();
        assert_eq!(refused(&file[..file.len() - 20]), SymbolError::Damaged);
        let mut stripped = file;
        stripped[48] = 2;
        assert_eq!(refused(&stripped), SymbolError::Stripped);
    }
}
