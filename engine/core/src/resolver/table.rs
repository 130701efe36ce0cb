//! Number table: small records by hash, packed into pages.
//!
//! A page is one buffer with its records one after another, so a record costs its own bytes, 16 for
//! hash and size, and a few of the page's. Pages grow by linear hashing (Litwin, VLDB 1980): with too
//! many records for the pages, only the page whose turn it is is split into itself and a new page at
//! the end. So no insertion waits for a table to double.
//!
//! A record in a page: 12 bytes hash, 4 bytes size of the rest (little-endian), the rest.

/// Bytes of a hash.
pub const HASH_BYTES: usize = 12;
const HEAD_BYTES: usize = HASH_BYTES + 4;
/// Twice as many save 2 bytes a record, but a look-up passes over half a page.
pub const RECORDS_A_PAGE: usize = 16;

/// The hash of a number's key.
pub type Hash = [u8; HASH_BYTES];

/// The hash of a number's key, which includes tenant and kind.
///
/// 96 bits: with the 42 billion numbers that 100M orders a day leave known, one in 100 million that
/// any two of them meet. blake2b, so that no sender can construct a collision.
pub fn hash_of(number: &str) -> Hash {
    let mut params = blake2b_simd::Params::new();
    let digest = params.hash_length(HASH_BYTES).hash(number.as_bytes());
    *digest.as_bytes().first_chunk().expect("as long as was set")
}

/// The part of a hash that determines its page.
pub fn place_of(key: &Hash) -> u32 {
    u32::from_le_bytes(*key.first_chunk().expect("a hash is longer"))
}

/// Records (never empty) by hash.
#[derive(Clone, Debug)]
pub struct NumberTable {
    pages: Vec<Vec<u8>>, // each is a sequence of whole records
    count: usize,
}

impl Default for NumberTable {
    fn default() -> Self {
        NumberTable { pages: vec![Vec::new()], count: 0 }
    }
}

impl NumberTable {
    /// A table of the pages of another one, without what is damaged: of a page, the records before
    /// the damage are kept.
    pub fn of(pages: Vec<Vec<u8>>) -> Self {
        let mut table = NumberTable { pages, count: 0 };
        if table.pages.is_empty() {
            table.pages.push(Vec::new());
        }
        for index in 0..table.pages.len() {
            let (count, end) = table.whole(index);
            table.pages[index].truncate(end);
            table.count += count;
        }
        table
    }

    /// Number of whole records at the beginning of a page, and the end of the last of them.
    fn whole(&self, index: usize) -> (usize, usize) {
        let page = &self.pages[index];
        let (mut count, mut start) = (0, 0);
        while page.len() - start > HEAD_BYTES {
            let end = end_of(page, start);
            let key = page[start..].first_chunk().expect("longer than a head");
            let is_empty = end == start + HEAD_BYTES;
            if end > page.len() || is_empty || self.page_of(place_of(key)) != index {
                break;
            }
            count += 1;
            start = end;
        }
        (count, start)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Return true without any record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The pages, from which `of` makes the same table.
    pub fn pages(&self) -> &[Vec<u8>] {
        &self.pages
    }

    /// All records, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Hash, &[u8])> {
        self.pages.iter().flat_map(|page| Records { page, start: 0 })
    }

    /// The records whose hash begins with `place`, mostly one.
    pub fn at(&self, place: u32) -> impl Iterator<Item = (Hash, &[u8])> {
        let page = &self.pages[self.page_of(place)];
        Records { page, start: 0 }.filter(move |(key, _)| place_of(key) == place)
    }

    /// The record of a hash; empty if there is none.
    pub fn get(&self, key: &Hash) -> &[u8] {
        let page = &self.pages[self.page_of(place_of(key))];
        find(page, key).map_or(&[], |(start, end)| &page[start + HEAD_BYTES..end])
    }

    /// Replace the record of a hash, an empty one removes it; return true for a new hash.
    pub fn put(&mut self, key: &Hash, record: &[u8]) -> bool {
        let index = self.page_of(place_of(key));
        let page = &mut self.pages[index];
        let found = find(page, key);
        match found {
            Some((start, end)) if record.is_empty() => {
                page.drain(start..end);
                self.count -= 1;
            }
            Some((start, end)) if end - start == HEAD_BYTES + record.len() => {
                page[start + HEAD_BYTES..end].copy_from_slice(record);
            }
            Some((start, end)) => {
                page.drain(start..end);
                append(page, key, record);
            }
            None if record.is_empty() => {}
            None => {
                append(page, key, record);
                self.count += 1;
            }
        }
        if self.count > RECORDS_A_PAGE * self.pages.len() {
            self.split();
        }
        found.is_none() && !record.is_empty()
    }

    /// The largest power of 2 that is no more than the pages.
    fn width(&self) -> usize {
        1 << self.pages.len().ilog2()
    }

    fn page_of(&self, place: u32) -> usize {
        let width = self.width();
        let index = place as usize & (2 * width - 1);
        if index < self.pages.len() { index } else { index & (width - 1) }
    }

    /// Split the page whose turn it is.
    fn split(&mut self) {
        let width = self.width();
        let index = self.pages.len() - width;
        let (mut stays, mut moves) = (Vec::new(), Vec::new());
        for (key, record) in (Records { page: &self.pages[index], start: 0 }) {
            let is_moving = place_of(&key) as usize & width != 0;
            append(if is_moving { &mut moves } else { &mut stays }, &key, record);
        }
        self.pages[index] = stays;
        self.pages.push(moves);
    }
}

/// The records of a page.
struct Records<'a> {
    page: &'a [u8],
    start: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = (Hash, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = *self.page[self.start..].first_chunk()?;
        let (start, end) = (self.start + HEAD_BYTES, end_of(self.page, self.start));
        self.start = end;
        Some((key, &self.page[start..end]))
    }
}

/// Append a record; the page grows by no more than it.
fn append(page: &mut Vec<u8>, key: &Hash, record: &[u8]) {
    let size = u32::try_from(record.len()).expect("a record is under 4 GB");
    page.reserve_exact(HEAD_BYTES + record.len());
    page.extend_from_slice(key);
    page.extend_from_slice(&size.to_le_bytes());
    page.extend_from_slice(record);
}

/// Begin and end of the record of a hash.
///
/// The same bytes can lie inside a record, by chance or by a sender's intent: they count only where a
/// record begins.
fn find(page: &[u8], key: &Hash) -> Option<(usize, usize)> {
    let mut start = 0;
    while start < page.len() {
        let end = end_of(page, start);
        if page[start..].starts_with(key) {
            return Some((start, end));
        }
        start = end;
    }
    None
}

fn end_of(page: &[u8], start: usize) -> usize {
    let size = page[start + HASH_BYTES..].first_chunk().expect("a page has whole records");
    start + HEAD_BYTES + u32::from_le_bytes(*size) as usize
}
