//! Files that hold secrets, or decide who is trusted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// No file of a keyring comes near this.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

/// Why a file of the keyring cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `create`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others than the owner can read a private key.
    #[error(
        "{} can be read by others than its owner (mode {mode:04o}): run `chmod 600 {}`",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than the owner can change who is trusted.
    #[error(
        "{} can be changed by others than its owner (mode {mode:04o}): run `chmod 600 {}`",
        path.display(),
        path.display()
    )]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is far larger than it should be.
    #[error("{} is too large to be what it should be", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether the file does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Io { action: _, path: _, source } if source.kind() == io::ErrorKind::NotFound
        )
    }
}

/// Reads a private key. Refuses one that others than its owner can read.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, FileError> {
    read(path, |file| refuse_exposed(file, path))
}

/// Reads a file that is no secret but must not be changed by others.
pub(super) fn read_trusted(path: &Path) -> Result<Vec<u8>, FileError> {
    read(path, |file| refuse_writable(file, path))
}

/// The check looks at the open file, so that nobody can put another one in between.
fn read(
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), FileError>,
) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io("read", path))?;
    check(&file)?;
    // Room for any key, so that no copy of one is left behind where the buffer grew.
    let mut bytes = Vec::with_capacity(4 * 1024);
    file.take(MAX_LENGTH + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(unix)]
fn refuse_exposed(file: &File, path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata().map_err(FileError::io("read", path))?;
    let mode = metadata.mode() & 0o7777;
    if mode & exposing(metadata.uid(), rustix::process::geteuid().as_raw()) != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// The permissions that a private key must not have, by who owns it and who we are.
///
/// As PostgreSQL has it for its server's key: one that root owns may be readable for its group,
/// because that is how Kubernetes hands a secret to a process that is not root.
#[cfg(unix)]
const fn exposing(owner: u32, ourselves: u32) -> u32 {
    const ROOT: u32 = 0;
    if owner == ROOT && ourselves != ROOT {
        0o037
    } else {
        0o077
    }
}

#[cfg(unix)]
fn refuse_writable(file: &File, path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt;

    let mode = file.metadata().map_err(FileError::io("read", path))?.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(FileError::Writable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_: &File, _: &Path) -> Result<(), FileError> {
    Ok(())
}

#[cfg(not(unix))]
fn refuse_writable(_: &File, _: &Path) -> Result<(), FileError> {
    Ok(())
}

/// Creates a folder that only its owner can look into. One that exists is left as it is.
pub(super) fn create_folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(FileError::io("create", path))
}

/// Puts a file in place that only its owner can read: whole and durable, or not at all. Replaces
/// what was there.
///
/// # Errors
///
/// If the operating system refuses; the error names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = temporary_beside(path);
    let written = write_durably(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // What is left of the attempt may be half a key.
        let _ = fs::remove_file(&temporary);
        return Err(FileError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        });
    }
    // The rename is durable once the folder is.
    match path.parent() {
        Some(folder) => sync_folder(folder).map_err(FileError::io("sync", folder)),
        None => Ok(()),
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a crash has left behind is in the way. Writers hold the lock of the keyring.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether something is there, of whatever kind. What cannot be told counts as an error, so that
/// nothing is put in its place.
pub(super) fn exists(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::io("look at", path)(source)),
    }
}

/// The paths of the files in a folder whose names end in `.pem`, without hidden ones.
pub(super) fn pem_files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = fs::read_dir(folder).map_err(FileError::io("read", folder))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io("read", folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".pem") && !name.starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Held while a keyring is written. Two processes that complete the same one take turns.
pub(super) struct FolderLock(#[expect(dead_code, reason = "closing the file ends the lock")] File);

/// Waits for the lock of a folder.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, FileError> {
    let path = folder.join(".lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(FileError::io("open", &path))?;
    file.lock().map_err(FileError::io("lock", &path))?;
    Ok(FolderLock(file))
}

#[cfg(all(test, unix))]
mod tests {
    use super::exposing;

    #[test]
    fn only_a_key_handed_over_by_root_may_be_readable_for_its_group() {
        let (root, we, others) = (0, 1000, 1001);
        for (owner, ourselves) in [(we, we), (others, we), (root, root), (we, root)] {
            assert_eq!(exposing(owner, ourselves), 0o077);
        }
        let handed_over = exposing(root, we);
        assert_eq!(0o440 & handed_over, 0);
        for mode in [0o420, 0o410, 0o404, 0o402] {
            assert_ne!(mode & handed_over, 0);
        }
    }
}
