//! Any servers, any names, any end: every claim is settled once, and no more is claimed than is known.

use proptest::prelude::*;
use quell_relay::attempt::fuzz::fuzz_attempt;

/// Mostly what is expected, so that runs get far.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![20 => 0u8..120, 3 => 120u8..230, 1 => 230u8..=255];
    proptest::collection::vec(byte, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_world_is_survived(policy: u8, count: u8, script in script()) {
        fuzz_attempt(&[vec![policy, count], script].concat());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        fuzz_attempt(&bytes);
    }
}
