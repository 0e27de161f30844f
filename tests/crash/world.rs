//! A folder with a journal and its agents beside it, for one run.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

use crate::house::{Books, House};
use crate::player::{Death, Exit, play};
use crate::scene::{Scene, answers};

/// A folder that is removed when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    /// Without a disk behind it, where there is such a place: a process's death needs none.
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        let path = parent.join(format!("crash-test-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One run of a scene.
pub struct World {
    scene: Scene,
    house: House,
    processes: usize,
    seed: u64,
    folder: Folder,
}

impl World {
    pub fn new(scene: Scene, seed: u64) -> Self {
        let folder = Folder::new();
        let house = House::open(&folder.0, &scene.model(), &answers());
        Self { scene, house, processes: 0, seed, folder }
    }

    /// What the agents know, once they know of all that the processes so far have ordered.
    pub fn books(&self) -> Books {
        self.house.books(self.processes)
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.0.join("runs.db")
    }

    pub fn start(&mut self, death: Death) -> Exit {
        self.play(false, death)
    }

    pub fn resume(&mut self, death: Death) -> Exit {
        self.play(true, death)
    }

    /// The journal as the process that died has left it, for who must not disturb it by looking.
    pub fn copy(&self) -> PathBuf {
        let copy = self.folder.0.join("copy.db");
        for (from, to) in [(self.journal(), copy.clone()), (self.log(), copy.with_extension("db-wal"))] {
            if let Err(error) = fs::copy(from, &to) {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                let _ = fs::remove_file(to);
            }
        }
        copy
    }

    /// The journal's write-ahead log.
    pub fn log(&self) -> PathBuf {
        self.journal().with_extension("db-wal")
    }

    /// Each process has a seed of its own.
    fn play(&mut self, resumes: bool, death: Death) -> Exit {
        self.processes += 1;
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        play(&self.journal(), self.house.socket(), &self.scene, self.seed, resumes, death)
    }
}
