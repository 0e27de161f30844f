#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

mod mutate;

fuzz_target!(|data: &[u8]| targets::journal::check(data));
fuzz_mutator!(|data: &mut [u8], size: usize, size_max: usize, seed: u32| {
    mutate::mutate(data, size, size_max, seed)
});
