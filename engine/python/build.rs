//! Digest of the sources of the core, which the checkout compares at import.

use std::fs;
use std::path::{Path, PathBuf};

/// CRC-32 (zlib's) of path and content of every source, in the order of their paths:
/// `dataflows/compiled_core.py` computes the same.
fn main() {
    let root = Path::new("..");
    let mut files = vec![PathBuf::from("Cargo.toml")];
    for member in ["core", "python"] {
        files.push(Path::new(member).join("Cargo.toml"));
        collect(root, &Path::new(member).join("src"), &mut files);
    }
    files.sort();
    let mut crc = u32::MAX;
    for file in files {
        let path = root.join(&file);
        println!("cargo::rerun-if-changed={}", path.display());
        crc = update(crc, file.to_string_lossy().replace('\\', "/").as_bytes());
        crc = update(crc, &fs::read(&path).expect("a source can be read"));
    }
    println!("cargo::rustc-env=ORDERTIDE_SOURCES={}", !crc);
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", root.join(folder).display());
    for entry in fs::read_dir(root.join(folder)).expect("a folder of sources can be read") {
        let name = folder.join(entry.expect("an entry can be read").file_name());
        if root.join(&name).is_dir() {
            collect(root, &name, files);
        } else if name.extension().is_some_and(|suffix| suffix == "rs") {
            files.push(name);
        }
    }
}

fn update(crc: u32, bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    bytes.iter().fold(crc, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}
