use futures::{StreamExt, stream};

use crate::{ByteStream, Digest, DigestWriter, Error};

/// Passes a stream on and ends it with [`Invalid`](crate::ErrorKind::Invalid) unless the SHA-256 of
/// all pieces is `digest`.
///
/// A put of the answer publishes nothing if the content is not what its name says.
#[must_use]
pub fn verify_content(stream: ByteStream, digest: Digest) -> ByteStream {
    let start = Some((stream, DigestWriter::default()));
    stream::unfold(start, move |state| async move {
        let (mut stream, mut writer) = state?;
        match stream.next().await {
            Some(Ok(piece)) => {
                writer.update(&piece);
                Some((Ok(piece), Some((stream, writer))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let found = writer.finish();
                (found != digest).then(|| {
                    (
                        Err(Error::invalid(format!(
                            "the content's SHA-256 is {found}, its name says {digest}"
                        ))),
                        None,
                    )
                })
            }
        }
    })
    .fuse()
    .boxed()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{ErrorKind, collect_capped};

    #[tokio::test]
    async fn content_that_is_not_its_name_ends_in_an_error() {
        let pieces = || stream::iter(["a", "bc"].map(|piece| Ok(Bytes::from(piece)))).boxed();
        let whole = collect_capped(verify_content(pieces(), Digest::of("abc")), 100).await;
        assert_eq!(whole.unwrap(), "abc");
        let wrong = collect_capped(verify_content(pieces(), Digest::of("abd")), 100).await;
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
