//! A file as an object: what is whole already goes in several parts at once.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::MultipartStore;
use object_store::path::Path;

use super::settings::PART_BYTES_MAX;
use super::stage::PARTS_MAX;
use super::{Objects, unreachable};
use crate::fault::Fault;

/// Parts on their way at once: each is in memory meanwhile.
const PARTS_AT_ONCE: usize = 4;

impl Objects {
    /// Writes the first `size_bytes` of a file as an object, durably. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or the store does not take it; it has nothing of it then, as far as it answers.
    pub(crate) fn put_file(&self, key: &str, file: &File, size_bytes: u64) -> Result<(), Fault> {
        let part_bytes = part_bytes(size_bytes, self.bucket.part_bytes);
        if size_bytes <= part_bytes {
            return self.put(key, vec![read(file, 0, size_bytes)?]);
        }
        let multipart = self.begin_parts(key)?;
        let written = self
            .put_parts((key, &multipart), file, size_bytes, part_bytes)
            .and_then(|names| self.end_parts((key, &multipart), names, size_bytes));
        match written {
            Ok(_) => Ok(()),
            Err(fault) => {
                self.give_up(key, &multipart);
                Err(fault)
            }
        }
    }

    fn put_parts(
        &self,
        (key, multipart): (&str, &str),
        file: &File,
        size_bytes: u64,
        part_bytes: u64,
    ) -> Result<Vec<String>, Fault> {
        let (path, multipart) = (Path::from(key), multipart.to_owned());
        let parts = (0..size_bytes.div_ceil(part_bytes)).enumerate();
        let puts = parts.map(|(number, part)| {
            let (path, multipart) = (&path, &multipart);
            async move {
                let first = part * part_bytes;
                let length = part_bytes.min(size_bytes - first);
                // On the thread that waits for the store: it may wait for the disk, too.
                let content = read(file, first, length)?;
                let put = self.store.put_part(path, multipart, number, content.into());
                let part = put
                    .await
                    .map_err(|error| unreachable("writing a part of an object", error))?;
                Ok(part.content_id)
            }
        });
        self.wait(stream::iter(puts).buffered(PARTS_AT_ONCE).try_collect())
    }
}

/// How long all parts but the last are.
fn part_bytes(size_bytes: u64, wanted_bytes: u64) -> u64 {
    if size_bytes.div_ceil(wanted_bytes) <= PARTS_MAX as u64 {
        return wanted_bytes;
    }
    // 640 GiB of them; what is larger than that needs larger ones.
    let parts_max = PARTS_MAX as u64;
    PART_BYTES_MAX.max(size_bytes.div_ceil(parts_max))
}

fn read(file: &File, first: u64, length: u64) -> Result<Bytes, Fault> {
    let length = usize::try_from(length).expect("a part is in memory");
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, first)
        .map_err(|error| Fault::io("reading staged bytes", error))?;
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use super::super::settings::{PART_BYTES_DEFAULT, PART_BYTES_MIN};
    use super::*;

    #[test]
    fn no_file_has_too_many_parts() {
        let bytes = |size_bytes| part_bytes(size_bytes, PART_BYTES_DEFAULT);
        assert_eq!(bytes(0), PART_BYTES_DEFAULT);
        assert_eq!(bytes(90 << 30), PART_BYTES_DEFAULT);
        assert_eq!(bytes(256 << 30), PART_BYTES_MAX);
        for size_bytes in [1, PART_BYTES_MIN, 97 << 30, 99 << 30, 624 << 30, 5 << 40] {
            for wanted in [PART_BYTES_MIN, PART_BYTES_DEFAULT, PART_BYTES_MAX] {
                let parts = size_bytes.div_ceil(part_bytes(size_bytes, wanted));
                assert!(parts <= PARTS_MAX as u64, "{size_bytes} {wanted}");
            }
        }
    }
}
