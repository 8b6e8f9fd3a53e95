//! A film as one HTML file, which stands alone: no network, no other file, opened from disk.

use std::io;
use std::path::Path;

use super::Film;
use crate::whole_file;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// First what draws a moment, then what moves between moments.
const SCRIPT: &str = concat!(include_str!("draw.js"), include_str!("playback.js"));

impl Film {
    /// The page. The same film gives the same bytes.
    ///
    /// # Errors
    /// If the film cannot be encoded.
    pub fn to_html(&self) -> serde_json::Result<String> {
        // In JSON this sign occurs in strings only. Escaped, no name can end the element around it.
        let film = serde_json::to_string(self)?.replace('<', "\\u003c");
        // The film last: nothing is looked for in it.
        let page = PAGE.replacen("/*style*/", STYLE, 1).replacen("/*script*/", SCRIPT, 1);
        Ok(page.replacen("/*film*/", &film, 1))
    }

    /// Writes the page, in place of the file at `path`. A reader sees the old file or the new one.
    ///
    /// # Errors
    /// If the file cannot be written, or what is there is no regular file; it is untouched then.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        whole_file::write(path, self.to_html()?.as_bytes())
    }
}
