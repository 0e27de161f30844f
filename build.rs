//! Refuses to build the extension module for a Python without the global lock, before anything else is compiled.
//!
//! `PyO3` would build a module of that Python's own for it, without a word. The package says the same when it is imported.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "python")]
    refuse_free_threaded();
}

#[cfg(feature = "python")]
fn refuse_free_threaded() {
    if pyo3_build_config::get().target_abi().kind().is_free_threaded() {
        println!(
            "cargo::error=parallel_agents does not run on a free-threaded Python: \
             use a Python 3.10 or newer whose name does not end in `t`"
        );
    }
}
