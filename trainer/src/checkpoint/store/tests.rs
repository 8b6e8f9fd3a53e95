use std::cell::Cell;

use super::*;

fn files(seed: u8) -> Files {
    let text = |name: &str, len: usize| (name.to_owned(), (0..len).map(|i| (i as u8) ^ seed).collect());
    vec![text("model.safetensors", 50), text("empty", 0), text("counters.json", 7)]
}

fn each(files: Files) -> impl Iterator<Item = Result<(String, Vec<u8>)>> {
    files.into_iter().map(Ok)
}

fn sorted(mut files: Files) -> Files {
    files.sort();
    files
}

fn updates(dir: &Path) -> Vec<u64> {
    list(dir).unwrap().into_iter().map(|(update, _)| update).collect()
}

fn newest_update(dir: &Path) -> u64 {
    let path = newest(dir).unwrap().expect("a checkpoint");
    let found = open(&path).unwrap();
    let update = update_of(path.file_name().unwrap().to_str().unwrap()).unwrap();
    assert_eq!(found, sorted(files(update as u8)));
    update
}

#[test]
fn what_is_saved_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    assert!(newest(&dir.path().join("not there")).unwrap().is_none());
    let store = Store::open(dir.path(), 3).unwrap();
    assert!(store.newest().unwrap().is_none());
    let path = store.save(7, each(files(7)), None).unwrap();
    assert_eq!(path, dir.path().join("ckpt_0000000007"));
    assert_eq!(open(&path).unwrap(), sorted(files(7)));
    assert_eq!(newest_update(dir.path()), 7);
}

#[test]
fn equal_states_give_equal_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let save =
        |dir: &Path, files: &Files| Store::open(dir, 1).unwrap().save(1, each(files.clone()), None).unwrap();
    let (one, two) = (save(one.path(), &files(1)), save(two.path(), &sorted(files(1))));
    assert_eq!(fs::read(one.join(MANIFEST)).unwrap(), fs::read(two.join(MANIFEST)).unwrap());
}

#[test]
fn the_last_and_the_best_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 2).unwrap();
    for update in 1..=5 {
        store.save(update, each(files(update as u8)), (update >= 2).then_some(2)).unwrap();
    }
    assert_eq!(updates(dir.path()), [2, 4, 5]);
    assert_eq!(best(dir.path()).unwrap(), Some(dir.path().join(name(2))));
    store.mark_best(5).unwrap();
    store.save(6, each(files(6)), None).unwrap();
    assert_eq!(updates(dir.path()), [5, 6]);
}

#[test]
fn a_mark_that_was_cut_off_is_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1).unwrap();
    store.save(1, each(files(1)), Some(1)).unwrap();
    // Killed after the checkpoint was in place and before it was marked.
    store.save(2, each(files(2)), None).unwrap();
    assert_eq!(best(dir.path()).unwrap(), Some(dir.path().join(name(1))));
    store.save(3, each(files(3)), Some(2)).unwrap();
    assert_eq!(best(dir.path()).unwrap(), Some(dir.path().join(name(2))));
    assert_eq!(updates(dir.path()), [2, 3]);
    // Not one that is gone.
    store.save(4, each(files(4)), Some(1)).unwrap();
    assert_eq!(best(dir.path()).unwrap(), Some(dir.path().join(name(2))));
}

#[test]
fn saving_again_changes_nothing_or_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 2).unwrap();
    let path = store.save(3, each(files(3)), None).unwrap();
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    store.save(3, each(files(3)), None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    store.save(3, each(files(4)), None).unwrap();
    assert_eq!(open(&path).unwrap(), sorted(files(4)));
    let left = names(dir.path()).unwrap();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [name(3), LOCK.to_owned()]);
}

#[test]
fn one_process_writes_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1).unwrap();
    let error = Store::open(dir.path(), 1).unwrap_err();
    assert!(matches!(error, CheckpointError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("run.lock is held by another process"), "{error}");
    drop(store);
    Store::open(dir.path(), 1).unwrap();
}

#[test]
fn leftovers_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path(), 1).unwrap().save(1, each(files(1)), None).unwrap();
    fs::create_dir(dir.path().join(".tmp-99-save")).unwrap();
    fs::write(dir.path().join(".tmp-99-save/model"), "torn").unwrap();
    fs::write(dir.path().join(".tmp-99-best"), "torn").unwrap();
    // Killed between the two renames of a replacement.
    fs::rename(dir.path().join(name(1)), dir.path().join(".old-ckpt_0000000001")).unwrap();
    assert_eq!(open(&newest(dir.path()).unwrap().expect("aside")).unwrap(), sorted(files(1)));
    Store::open(dir.path(), 1).unwrap();
    assert_eq!(names(dir.path()).unwrap().into_iter().collect::<Vec<_>>(), [name(1), LOCK.to_owned()]);
    assert_eq!(newest_update(dir.path()), 1);
}

#[test]
fn what_others_put_into_the_folder_stays() {
    let dir = tempfile::tempdir().unwrap();
    for name in [".tmp-thesis", ".tmp-", ".tmp-1-", ".old-notes", ".old-ckpt_1", "notes"] {
        fs::write(dir.path().join(name), "precious").unwrap();
    }
    let before = names(dir.path()).unwrap();
    Store::open(dir.path(), 1).unwrap();
    let mut after = names(dir.path()).unwrap();
    assert!(after.remove(LOCK));
    assert_eq!(after, before);
}

#[test]
fn one_put_aside_takes_the_place_of_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = Store::open(dir.path(), 1).unwrap().save(1, each(files(1)), None).unwrap();
    let aside = dir.path().join(".old-ckpt_0000000001");
    fs::create_dir(&aside).unwrap();
    for name in names(&path).unwrap() {
        fs::copy(path.join(&name), aside.join(&name)).unwrap();
    }
    fs::write(path.join("model"), "torn").unwrap();
    let store = Store::open(dir.path(), 1).unwrap();
    assert_eq!(store.newest().unwrap().expect("it is back"), path);
    assert_eq!(open(&path).unwrap(), sorted(files(1)));
    assert!(!aside.exists());
}

/// Calls `check` after each way of damaging one file of the checkpoint at `path`.
fn damage(path: &Path, check: impl Fn(&str)) {
    for name in names(path).unwrap() {
        let file = path.join(&name);
        let whole = fs::read(&file).unwrap();
        for len in 0..whole.len() {
            fs::write(&file, &whole[..len]).unwrap();
            check(&format!("{name} cut to {len} of {}", whole.len()));
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, flipped).unwrap();
            check(&format!("{name} with bit {bit} flipped"));
        }
        fs::write(&file, [&whole[..], b" "].concat()).unwrap();
        check(&format!("{name} with a byte more"));
        fs::remove_file(&file).unwrap();
        check(&format!("{name} removed"));
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn damage_is_seen_and_the_one_before_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 2).unwrap();
    store.save(1, each(files(1)), None).unwrap();
    let path = store.save(2, each(files(2)), None).unwrap();
    damage(&path, |what| match open(&path) {
        Err(CheckpointError::Damaged { .. }) => assert_eq!(newest_update(dir.path()), 1, "{what}"),
        // A later format is another matter: going back silently would lose work.
        Err(CheckpointError::Format { .. }) => assert!(newest(dir.path()).is_err(), "{what}"),
        other => panic!("{what}: {other:?}"),
    });
    assert_eq!(newest_update(dir.path()), 2);
}

#[test]
fn a_run_with_only_damaged_checkpoints_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 2).unwrap();
    let path = store.save(1, each(files(1)), None).unwrap();
    fs::remove_file(path.join(MANIFEST)).unwrap();
    let error = newest(dir.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::NoneValid { tried: 1, .. }), "{error}");
}

#[test]
fn damaged_later_ones_make_room_valid_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1).unwrap();
    let path = store.save(9, each(files(9)), Some(9)).unwrap();
    let error = store.save(5, each(files(5)), None).unwrap_err();
    assert!(matches!(error, CheckpointError::Newer { update: 5, .. }), "{error}");
    assert_eq!(updates(dir.path()), [9]);
    fs::write(path.join("empty"), "not any more").unwrap();
    store.save(5, each(files(5)), None).unwrap();
    assert_eq!(updates(dir.path()), [5]);
}

#[test]
fn a_disk_that_fails_at_any_moment_leaves_a_valid_checkpoint() {
    // Update 2 comes after 1 and replaces what else is there: `again` saves it over other bytes.
    for again in [false, true] {
        let mut cuts = 0;
        loop {
            let dir = tempfile::tempdir().unwrap();
            let mut store = Store::open(dir.path(), 1).unwrap();
            store.save(1, each(files(1)), Some(1)).unwrap();
            if again {
                store.save(2, each(files(9)), Some(2)).unwrap();
            }
            store.disk = Disk { left: Cell::new(Some(cuts)) };
            let saved = store.save(2, each(files(2)), Some(2));
            if cuts % 2 == 1 {
                // The same process tries once more.
                store.disk.left.set(None);
                store.save(2, each(files(2)), Some(2)).unwrap();
                assert_eq!(newest_update(dir.path()), 2);
            }
            // As it is found by one that only reads, and by the next that writes.
            drop(store);
            assert!(newest(dir.path()).unwrap().is_some(), "after {cuts}");
            let store = Store::open(dir.path(), 1).unwrap();
            let path = store.newest().unwrap().expect("one is always valid");
            let found = open(&path).unwrap();
            let known = [(1, files(1)), (2, files(9)), (2, files(2))];
            assert!(
                known
                    .into_iter()
                    .any(|(update, files)| path.ends_with(name(update)) && found == sorted(files))
            );
            assert!(open(&best(dir.path()).unwrap().expect("a mark")).is_ok(), "after {cuts}");
            match saved {
                Ok(_) => {
                    assert_eq!(found, sorted(files(2)));
                    break;
                }
                Err(error) => assert!(error.to_string().contains("the disk is full"), "{error}"),
            }
            // Whatever it was, the run goes on.
            store.save(2, each(files(2)), Some(2)).unwrap();
            assert_eq!(newest_update(dir.path()), 2);
            cuts += 1;
        }
        assert!(cuts > 15, "only {cuts} changes were cut");
    }
}

#[test]
fn places_that_cannot_be_written_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("run"), 1).unwrap_err();
    assert!(error.to_string().starts_with("cannot create"), "{error}");

    let run = dir.path().join("run");
    let store = Store::open(&run, 1).unwrap();
    fs::remove_dir_all(&run).unwrap();
    let error = store.save(1, each(files(1)), None).unwrap_err();
    assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
}

#[test]
fn unfit_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 1).unwrap();
    for name in ["", ".", "..", "../up", "/abs", "a/b", ".hidden", "MANIFEST.json", "a b"] {
        let error = store.save(1, each(vec![(name.to_owned(), vec![])]), None).unwrap_err();
        assert!(matches!(error, CheckpointError::Name { .. }), "{name}: {error}");
    }
    let twice = [("a".to_owned(), vec![]), ("a".to_owned(), vec![1])];
    assert!(matches!(store.save(1, each(twice.to_vec()), None), Err(CheckpointError::Name { .. })));
    assert!(updates(dir.path()).is_empty());
}
