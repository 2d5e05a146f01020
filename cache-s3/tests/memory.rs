//! How much memory large blobs take on their way to a bucket and back: the clauses on memory, and a blob of 1 GiB, or of
//! 4 GiB if `CACHE_S3_LONG` is 1.
//!
//! A process in which nothing else happens, for its memory is counted. The server is this executable, started again.
#![cfg_attr(feature = "s3", expect(clippy::unwrap_used, reason = "a test may fail"))]

#[cfg(feature = "s3")]
mod in_s3 {
    use std::{
        alloc::System,
        io::{BufRead, BufReader},
        process::{Child, Command, ExitCode, Stdio},
        sync::Arc,
        time::Instant,
    };

    use async_trait::async_trait;
    use bytes::Bytes;
    use cache_conformance::{CLAUSES, Clause, Factory, Handle, Heap, Outcome, Setup};
    use cache_core::{
        BlobName, ByteRange, ByteStream, Digest, GetOptions, Key, PutEntry, PutOptions, Result, Store,
        StoreExt,
    };
    use cache_s3::{S3Options, S3Store, StoreOptions};
    use cap::Cap;
    use futures::{StreamExt, TryStreamExt, stream};
    use libtest_mimic::{Arguments, Trial};

    #[global_allocator]
    static HEAP: Cap<System> = Cap::new(System, usize::MAX);

    const MIB: u64 = 1 << 20;
    const BUCKET: &str = "bucket";
    /// All that a blob of any length may take.
    const MOST: u64 = 64 * MIB;

    pub(crate) fn main() -> ExitCode {
        let mut arguments = std::env::args().skip(1);
        if arguments.next().as_deref() == Some("serve") {
            return cache_s3_server::program::main(arguments);
        }
        let clauses = CLAUSES.iter().filter(|clause| clause.needs == Some(Handle::Heap));
        let mut trials: Vec<_> =
            clauses.map(|clause| Trial::test(clause.id, move || holds(clause).map_err(Into::into))).collect();
        trials.push(Trial::test("a_large_blob_streams_up_and_down_in_less_than_64_mib", || {
            large_blob();
            Ok(())
        }));
        let mut arguments = Arguments::from_args();
        arguments.test_threads = Some(1);
        libtest_mimic::run(&arguments, trials).exit_code()
    }

    /// A server that is another process.
    struct Served {
        child: Child,
        endpoint: String,
    }

    impl Served {
        fn start() -> Self {
            let mut serve = Command::new(std::env::current_exe().unwrap());
            serve.args(["serve", "127.0.0.1:0", BUCKET]);
            let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let address = line.trim().strip_prefix("listening ").unwrap();
            Self { endpoint: format!("http://{address}"), child }
        }

        async fn open(&self, options: StoreOptions) -> Result<S3Store> {
            let options = S3Options::new(BUCKET)
                .with_endpoint(&self.endpoint)
                .with_allow_http(true)
                .with_credentials("AKIDTEST", "SECRETTEST")
                .with_store(options);
            S3Store::open(options).await
        }
    }

    impl Drop for Served {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Uploads hold two parts.
    fn options() -> StoreOptions {
        StoreOptions::default().with_owned(true).with_part_bytes(5 << 20).with_concurrent_parts(1)
    }

    struct Allocated;

    impl Heap for Allocated {
        fn allocated(&self) -> u64 {
            HEAP.allocated() as u64
        }

        fn held_on_the_way(&self) -> u64 {
            10 * MIB
        }
    }

    #[async_trait]
    impl Factory for Served {
        async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
            let options = options().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
            Ok(Arc::new(self.open(options).await?))
        }

        fn heap(&self) -> Option<&dyn Heap> {
            Some(&Allocated)
        }
    }

    fn holds(clause: &'static Clause) -> Result<(), String> {
        match clause.run(Served::start()) {
            Outcome::Passed => Ok(()),
            outcome => Err(format!("{outcome}\nrequired: {}", clause.requirement)),
        }
    }

    /// What the blob is made of: every MiB is another window into the same bytes.
    struct Source(Bytes);

    impl Source {
        const WINDOWS: u64 = 65_521;

        fn new() -> Self {
            let words =
                (0..(MIB + Self::WINDOWS) / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            Self(words.flatten().collect())
        }

        fn piece(&self, number: u64) -> Bytes {
            let start = usize::try_from(number * 7919 % Self::WINDOWS).unwrap() & !7;
            self.0.slice(start..start + usize::try_from(MIB).unwrap())
        }

        fn stream(&self, len: u64) -> ByteStream {
            let source = Self(self.0.clone());
            // Copies, so that what is held of them is counted.
            let copies = (0..len / MIB).map(move |number| Ok(Bytes::copy_from_slice(&source.piece(number))));
            stream::iter(copies).boxed()
        }

        /// Whether these are the bytes at an offset.
        fn has(&self, mut offset: u64, mut bytes: &[u8]) -> bool {
            while !bytes.is_empty() {
                let (piece, within) = (self.piece(offset / MIB), usize::try_from(offset % MIB).unwrap());
                let (part, rest) = bytes.split_at(bytes.len().min(piece.len() - within));
                if piece.slice(within..within + part.len()) != part {
                    return false;
                }
                offset += part.len() as u64;
                bytes = rest;
            }
            true
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place of this test that reads the environment")]
    fn blob_len() -> u64 {
        let is_long = std::env::var_os("CACHE_S3_LONG").is_some_and(|long| long == "1");
        if is_long { 4096 * MIB } else { 1024 * MIB }
    }

    fn large_blob() {
        let (len, source, served) = (blob_len(), Source::new(), Served::start());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // As it is by default.
        runtime.block_on(up_and_down(len, &source, &served));
    }

    async fn up_and_down(len: u64, source: &Source, served: &Served) {
        let store = served.open(StoreOptions::default()).await.unwrap();
        let (key, data) = (Key::from(Digest::of("large")), BlobName::DATA);
        // The allocator remembers the most that there ever was: nothing larger was before.
        let before = HEAP.allocated() as u64;
        let begun = Instant::now();
        let entry = PutEntry::default().with_stream(data.clone(), None, source.stream(len));
        assert!(store.put(&key, entry, PutOptions::default()).await.unwrap().is_stored());
        let (up, begun) = (begun.elapsed(), Instant::now());

        let blob = store.get(&key, &data, GetOptions::default()).await.unwrap().unwrap();
        assert_eq!(blob.len(), len);
        let mut read = 0;
        let mut pieces = blob.into_stream();
        while let Some(piece) = pieces.try_next().await.unwrap() {
            assert!(source.has(read, &piece), "at {read}");
            read += piece.len() as u64;
        }
        assert_eq!(read, len);
        let down = begun.elapsed();

        for (start, bytes) in [(0, 1), (len / 3, 100_000), (len / 2 - 1, 2), (len - 65_537, 65_537)] {
            let range = ByteRange::new(start, Some(start + bytes)).unwrap();
            let part = store.get_range(&key, &data, range).await.unwrap().unwrap();
            assert!(part.len() as u64 == bytes && source.has(start, &part), "{start}");
        }
        let most = (HEAP.max_allocated() as u64).saturating_sub(before);
        println!("{} MiB up in {up:.1?} and down in {down:.1?} through {most} bytes of memory", len / MIB);
        assert!(most <= MOST, "{most} bytes of memory");
        store.close(None).await.unwrap();
    }
}

#[cfg(feature = "s3")]
fn main() -> std::process::ExitCode {
    in_s3::main()
}

#[cfg(not(feature = "s3"))]
fn main() {}
