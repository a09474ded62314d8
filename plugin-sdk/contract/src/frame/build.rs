//! Writing a frame: an index and an arena that grow side by side, put together at the end.

use super::layout::{HEADER_BYTES, Kind, LAYOUT_VERSION, MAGIC};
use std::collections::HashMap;

/// Collects the parts of a frame. Cleared by [`Builder::finish`], which keeps the memory.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub index: Vec<u8>,
    pub arena: Vec<u8>,
    pub count: u32,
    dictionary: Vec<(u32, u32)>,
    ids: HashMap<Box<str>, u32>,
    /// The id that each slot had last: events repeat themselves, and a comparison beats a hash.
    hints: Vec<u32>,
}

impl Builder {
    /// The id of `text`. `slot` is where in an item it stands, to remember what stood there last.
    pub fn intern(&mut self, text: &str, slot: usize) -> u32 {
        if let Some(&hint) = self.hints.get(slot)
            && let Some(&(pos, len)) = self.dictionary.get(hint as usize)
            && &self.arena[pos as usize..(pos + len) as usize] == text.as_bytes()
        {
            return hint;
        }
        let id = match self.ids.get(text) {
            Some(&id) => id,
            None => {
                let id = self.dictionary.len() as u32;
                let entry = self.append(text.as_bytes());
                self.dictionary.push(entry);
                self.ids.insert(text.into(), id);
                id
            }
        };
        if slot >= self.hints.len() {
            self.hints.resize(slot + 1, 0);
        }
        self.hints[slot] = id;
        id
    }

    /// Puts bytes into the arena; answers (position, length).
    pub fn append(&mut self, bytes: &[u8]) -> (u32, u32) {
        let pos = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        (pos, bytes.len() as u32)
    }

    /// How many texts the dictionary holds.
    pub fn dictionary_len(&self) -> u32 {
        self.dictionary.len() as u32
    }

    /// About how many bytes the frame will have.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.dictionary.len() * 8 + self.index.len() + self.arena.len()
    }

    /// Writes the frame into `out`, replacing what it held, and starts over.
    pub fn finish(&mut self, kind: Kind, stride: u32, out: &mut Vec<u8>) {
        debug_assert_eq!(self.index.len(), self.count as usize * stride as usize);
        out.clear();
        out.reserve(self.size());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&LAYOUT_VERSION.to_le_bytes());
        out.extend_from_slice(&(kind as u16).to_le_bytes());
        for field in [self.count, stride, self.dictionary.len() as u32, self.arena.len() as u32, 0, 0] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for (pos, len) in &self.dictionary {
            out.extend_from_slice(&pos.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(&self.index);
        out.extend_from_slice(&self.arena);
        self.clear();
    }

    /// Forgets what was collected and keeps the memory.
    pub fn clear(&mut self) {
        self.index.clear();
        self.arena.clear();
        self.dictionary.clear();
        self.ids.clear();
        self.hints.clear();
        self.count = 0;
    }
}
