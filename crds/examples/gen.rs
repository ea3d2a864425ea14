//! Writes the definitions from the types, plain and for the chart: `cargo run -p chaperone-crds --example gen`. Running it
//! twice changes nothing.

use std::path::Path;
use std::{fs, io};

use chaperone_crds::definition::{chart_files, files};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, files) in [("yaml", files()), ("../charts/chaperone/templates/crds", chart_files())] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        for file in files {
            fs::write(folder.join(file.name), file.text)?;
        }
    }
    Ok(())
}
