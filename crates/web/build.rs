//! Embeds the browser program: every file of `web-program/dist`, with the compressed forms that its build wrote beside it.
//! Without a build there is nothing to embed, and the program's page says how to make one.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dist = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../web-program/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        walk(&dist, &mut files)?;
    }
    files.sort();
    let mut code = String::from("pub(super) static FILES: &[Embedded] = &[\n");
    for path in files.iter().filter(|p| !is_compressed(p)) {
        let name = path.strip_prefix(&dist).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        let mut hasher = DefaultHasher::new();
        hasher.write(&fs::read(path)?);
        let beside = |ending: &str| {
            let mut other = path.clone().into_os_string();
            other.push(ending);
            let other = PathBuf::from(other);
            if other.is_file() { format!("Some(include_bytes!({other:?}))") } else { "None".to_owned() }
        };
        let _ = writeln!(
            code,
            "    Embedded {{ path: {:?}, tag: \"\\\"{:016x}\\\"\", plain: include_bytes!({path:?}), gzip: {}, brotli: {} }},",
            format!("/{name}"),
            hasher.finish(),
            beside(".gz"),
            beside(".br"),
        );
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(Path::new(&out).join("files.rs"), code)
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gz" || e == "br")
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
