//! Makes what `crates/proto/src/generated` holds from the protobuf files in `proto`, and tests that
//! it is current.
//!
//! After a change in `proto`, `UPDATE_GENERATED=1 cargo test -p codegen` writes it anew. No protoc
//! is needed: `protox` compiles the files, `tonic-prost-build` makes Rust of them.
//!
//! This package must never depend on `proto`, not even through another one: generated code that
//! does not compile could then not be repaired by generating it again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The name of the file that holds the descriptors of every protobuf file, imports included.
const DESCRIPTORS: &str = "descriptors.bin";

/// Compiles the protobuf files under `protos` and returns each generated file by its name.
///
/// # Errors
///
/// If the files cannot be read, or are not valid protobuf; the error says where.
pub fn generate(protos: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut compiler = protox::Compiler::new([protos])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(proto_files(&protos.join("reprise"))?)?;

    let code = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .out_dir(code.path())
        .emit_rerun_if_changed(false)
        .extern_path(".google.rpc", "::tonic_types")
        // A test's stand-in for a service has only the methods that it is asked for. The services
        // themselves deny `clippy::missing_trait_methods`.
        .generate_default_stubs(true)
        // Messages are stored and hashed: a hash map would encode them differently each time.
        .btree_map(".")
        // Chunks of a DAG bundle go from the socket to the store without being copied.
        .bytes(".")
        .compile_fds(compiler.file_descriptor_set())?;

    // Of the imports nothing is used but what `extern_path` and prost itself take from elsewhere.
    let mut files = read_all(code.path())?;
    files.retain(|name, _| name.starts_with("reprise."));

    // Encoded by protox from its own pool: prost's types know no extensions, and would lose the
    // `google.api.field_behavior` that clients read through server reflection.
    files.insert(
        DESCRIPTORS.to_owned(),
        compiler.encode_file_descriptor_set(),
    );
    Ok(files)
}

/// Every protobuf file under `folder`, at any depth, in an order that does not depend on the disk.
fn proto_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(files)
}

fn read_all(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for path in entries(folder)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        files.insert(name, content);
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)
        .with_context(|| format!("read the folder {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    const REPAIR: &str = "UPDATE_GENERATED=1 cargo test -p codegen";

    #[test]
    fn generated_code_is_fresh() -> Result<()> {
        let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
        let checked_in = root.join("crates/proto/src/generated");
        let fresh = generate(&root.join("proto"))?;

        if env::var_os("UPDATE_GENERATED").is_some() {
            replace(&checked_in, &fresh)?;
        }

        let current = read_all(&checked_in)?;
        let stale = differences(&current, &fresh);
        assert!(
            stale.is_empty(),
            "{} is not what proto/ makes: {}\nto write it anew: {REPAIR}",
            checked_in.display(),
            stale.join(", "),
        );
        Ok(())
    }

    fn replace(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        fs::create_dir_all(folder)?;
        for path in entries(folder)? {
            fs::remove_file(path)?;
        }
        for (name, content) in files {
            fs::write(folder.join(name), content)?;
        }
        Ok(())
    }

    /// The names of the files that are missing on one side, or differ.
    fn differences<'a>(
        old: &'a BTreeMap<String, Vec<u8>>,
        new: &'a BTreeMap<String, Vec<u8>>,
    ) -> Vec<&'a str> {
        let names = old
            .keys()
            .chain(new.keys().filter(|name| !old.contains_key(*name)));
        names
            .filter(|name| old.get(*name) != new.get(*name))
            .map(String::as_str)
            .collect()
    }
}
