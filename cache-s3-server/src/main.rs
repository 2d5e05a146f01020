//! The server as a program: `cache-s3-server ADDRESS [BUCKET...]`.

fn main() -> std::process::ExitCode {
    cache_s3_server::program::main(std::env::args().skip(1))
}
