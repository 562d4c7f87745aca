//! The spool beside a model of it: any sequence of steps, restarts among them.

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Large(usize, usize),
    Release(prop::sample::Index),
    Copy(prop::sample::Index),
    Sync,
    Restart,
    Rescue,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0usize..20_000).prop_map(Step::Append),
        2 => (0usize..100, 0usize..100_000).prop_map(|(f, p)| Step::Large(f, p)),
        4 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => any::<prop::sample::Index>().prop_map(Step::Copy),
        2 => Just(Step::Sync),
        1 => Just(Step::Restart),
        1 => Just(Step::Rescue),
    ];
    prop::collection::vec(step, 1..60)
}

/// The spool beside what it should hold.
struct Model {
    dir: TempDir,
    spool: Spool,
    live: HashMap<BodyRef, Vec<u8>>,
    count: u32,
}

impl Model {
    fn pick(&self, index: &prop::sample::Index) -> Option<BodyRef> {
        let mut bodies: Vec<_> = self.live.keys().copied().collect();
        bodies.sort();
        (!bodies.is_empty()).then(|| *index.get(&bodies))
    }

    fn run(&mut self, step: Step) {
        self.count += 1;
        let seed = self.count as u8;
        match step {
            Step::Append(len) => {
                let body = bytes(len, seed);
                let (a, b) = body.split_at(len / 3);
                let place = self.spool.append(&id(self.count), &[a, b]).unwrap();
                assert!(self.live.insert(place, body).is_none());
            }
            Step::Large(front, payload) => {
                let (front, payload) = (bytes(front, seed), bytes(payload, !seed));
                let finished = large(&self.spool, self.count, &front, &payload);
                let place = self.spool.append_large(finished).unwrap();
                assert!(self.live.insert(place, [front, payload].concat()).is_none());
            }
            Step::Release(index) => {
                if let Some(body) = self.pick(&index) {
                    self.spool.release(&body).unwrap();
                    self.live.remove(&body);
                }
            }
            Step::Copy(index) => {
                if let Some(body) = self.pick(&index) {
                    let new = self.spool.copy(&body).unwrap();
                    self.live.insert(new, self.live[&body].clone());
                }
            }
            Step::Sync => self.spool.sync().unwrap(),
            Step::Restart => {
                let live: Vec<_> = self.live.keys().copied().collect();
                self.spool = open(self.dir.path(), &live);
            }
            Step::Rescue => self.rescue(),
        }
    }

    fn rescue(&mut self) {
        break_sync(&mut self.spool);
        self.spool.sync().unwrap_err();
        let rescued = self.spool.rescue(self.live.keys().copied()).unwrap();
        assert!(rescued.lost.is_empty());
        for (old, new) in rescued.moved {
            self.spool.release(&old).unwrap();
            let body = self.live.remove(&old).unwrap();
            self.live.insert(new, body);
        }
        assert_eq!(self.spool.bodies(), self.live.len());
    }

    fn check(&self) {
        assert!(self.live.iter().all(|(place, body)| read(&self.spool, place) == *body));
        assert_eq!(self.spool.bodies(), self.live.len());
        let names = names(self.dir.path());
        let on_disk: u64 =
            names.iter().map(|n| self.dir.path().join("spool").join(n).metadata().unwrap().len()).sum();
        assert_eq!(self.spool.disk_bytes(), on_disk);
        // Nothing stays that nobody needs, but for the segment in use.
        let needed: std::collections::HashSet<u64> = self.live.keys().map(|b| b.file).collect();
        assert!(names.len() <= needed.len() + 1, "{names:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn holds_what_it_should_and_no_more(steps in steps()) {
        let dir = TempDir::new();
        let spool = open(dir.path(), &[]);
        let mut model = Model { dir, spool, live: HashMap::new(), count: 0 };
        for step in steps {
            model.run(step);
        }
        model.check();
    }

    #[test]
    fn damage_anywhere_is_noticed(
        len in 0usize..3000, large_one: bool, at: prop::sample::Index, change in 1u8..,
    ) {
        let dir = TempDir::new();
        let mut spool = open(dir.path(), &[]);
        let payload = bytes(len, 5);
        let body = if large_one {
            let finished = large(&spool, 1, &[], &payload);
            spool.append_large(finished).unwrap()
        } else {
            spool.append(&id(1), &[&payload]).unwrap()
        };
        let head = FILE_HEADER_BYTES + RECORD_HEADER_BYTES;
        let index = at.index(head as usize + len) as u64;
        let gap = if large_one && index >= head { LARGE_PAYLOAD_AT - head } else { 0 };
        let file = File::options().read(true).write(true).open(path(dir.path(), &body)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, index + gap).unwrap();
        file.write_all_at(&[byte[0] ^ change], index + gap).unwrap();
        let damaged = matches!(spool.verify(&body), Err(SpoolError::Damaged { .. }));
        prop_assert!(damaged);
    }

    /// References come from rows, and rows can be damaged too.
    #[test]
    fn any_reference_is_survived(file in 0u64..4096, offset: u64, len: u64, near in 0u64..200) {
        let dir = TempDir::new();
        let mut spool = open(dir.path(), &[]);
        let body = spool.append(&id(1), &[&bytes(100, 1)]).unwrap();
        let refs = [
            BodyRef { file, offset, len },
            BodyRef { file: u64::MAX, offset, len },
            BodyRef { offset, len, ..body },
            BodyRef { offset: near + 41, ..body },
            BodyRef { len, ..body },
        ];
        for wrong in refs.iter().filter(|r| **r != body) {
            prop_assert!(spool.verify(wrong).is_err());
            spool.release(wrong).unwrap();
        }
        drop(spool);
        let spool = open(dir.path(), &refs);
        prop_assert!(spool.bodies() <= refs.len());
    }
}
