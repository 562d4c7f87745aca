//! Contents of a file, with holes: a preallocated file of 256 MiB costs nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of one block; a block of zeros is not stored.
const BLOCK_BYTES: u64 = 4096;

type Block = [u8; BLOCK_BYTES as usize];

/// Contents of a file. Clones share their blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    len: u64,
    blocks: BTreeMap<u64, Arc<Block>>,
}

impl Sparse {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Cuts or extends (with zeros) to `len` bytes.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
            let rest = len % BLOCK_BYTES;
            if rest > 0
                && let Some(block) = self.blocks.get_mut(&(len / BLOCK_BYTES))
            {
                Arc::make_mut(block)[rest as usize..].fill(0);
            }
        }
        self.len = len;
    }

    /// Puts `data` at `offset`, extending if it reaches beyond the end.
    pub fn write(&mut self, offset: u64, mut data: &[u8]) {
        self.len = self.len.max(offset + data.len() as u64);
        let mut at = offset;
        while !data.is_empty() {
            let inside = (at % BLOCK_BYTES) as usize;
            let (now, rest) = data.split_at(data.len().min(BLOCK_BYTES as usize - inside));
            let block = self.block(at / BLOCK_BYTES);
            block[inside..inside + now.len()].copy_from_slice(now);
            data = rest;
            at += now.len() as u64;
        }
    }

    fn block(&mut self, number: u64) -> &mut Block {
        let empty = || Arc::new([0; BLOCK_BYTES as usize]);
        Arc::make_mut(self.blocks.entry(number).or_insert_with(empty))
    }

    /// Puts zeros over `len` bytes at `offset`, extending if they reach beyond the end.
    pub fn zero(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        self.len = self.len.max(end);
        let touched: Vec<u64> = (self.blocks)
            .range(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES))
            .map(|(number, _)| *number)
            .collect();
        for number in touched {
            let start = number * BLOCK_BYTES;
            let from = offset.max(start) - start;
            let to = end.min(start + BLOCK_BYTES) - start;
            self.block(number)[from as usize..to as usize].fill(0);
        }
    }

    /// Reads a file, block by block.
    pub fn read_from(file: &File) -> io::Result<Self> {
        let mut out = Self::default();
        let mut block = [0; BLOCK_BYTES as usize];
        loop {
            let got = file.read_at(&mut block, out.len)?;
            if got == 0 {
                return Ok(out);
            }
            if block[..got].iter().all(|byte| *byte == 0) {
                out.len += got as u64;
            } else {
                out.write(out.len, &block[..got]);
            }
        }
    }

    /// Writes a new file, leaving holes.
    pub fn write_into(&self, file: &File) -> io::Result<()> {
        file.set_len(self.len)?;
        for (number, block) in &self.blocks {
            let start = number * BLOCK_BYTES;
            let len = BLOCK_BYTES.min(self.len.saturating_sub(start)) as usize;
            file.write_all_at(&block[..len], start)?;
        }
        Ok(())
    }

    /// All bytes, for comparing in tests.
    #[cfg(test)]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; self.len as usize];
        for (number, block) in &self.blocks {
            let start = (number * BLOCK_BYTES) as usize;
            let len = block.len().min(out.len().saturating_sub(start));
            out[start..start + len].copy_from_slice(&block[..len]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The same as a plain vector does.
        #[test]
        fn behaves_like_a_vector(steps in proptest::collection::vec(
            (0..3_u8, 0..20_000_u64, 0..9_000_usize, any::<u8>()), 1..30,
        )) {
            let (mut sparse, mut plain) = (Sparse::default(), Vec::<u8>::new());
            for (step, offset, len, byte) in steps {
                let end = offset as usize + len;
                match step {
                    0 => {
                        sparse.set_len(offset);
                        plain.resize(offset as usize, 0);
                    }
                    1 if len > 0 => {
                        sparse.write(offset, &vec![byte; len]);
                        plain.resize(plain.len().max(end), 0);
                        plain[offset as usize..end].fill(byte);
                    }
                    _ => {
                        sparse.zero(offset, len as u64);
                        plain.resize(plain.len().max(end), 0);
                        plain[offset as usize..end].fill(0);
                    }
                }
                prop_assert_eq!(sparse.len(), plain.len() as u64);
            }
            prop_assert_eq!(sparse.bytes(), plain);
        }
    }
}
