//! The programs are in this folder, one file each.
