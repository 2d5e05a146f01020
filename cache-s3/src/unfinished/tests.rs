use std::time::{Duration, SystemTime};

use super::parse;

#[test]
fn uploads_are_read_and_what_is_none_is_passed_over() {
    let listing = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Bucket>b</Bucket><IsTruncated>false</IsTruncated>
  <Upload><Key>team/~a&amp;b!00</Key><UploadId>one</UploadId><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>
  <Upload><Key>no-time</Key><UploadId>two</UploadId><Initiated>yesterday</Initiated></Upload>
  <Upload><Key>no-id</Key><Initiated>2010-11-10T20:48:33Z</Initiated></Upload>
</ListMultipartUploadsResult>"#;
    let uploads = parse(listing).unwrap();
    let [upload] = &uploads[..] else { panic!("{uploads:?}") };
    assert_eq!((upload.object.as_str(), upload.id.as_str()), ("team/~a&b!00", "one"));
    assert_eq!(upload.begun, SystemTime::UNIX_EPOCH + Duration::from_secs(1_289_422_113));
}

#[test]
fn another_document_is_no_listing_of_uploads() {
    for other in
        ["", "no", "<ListBucketResult/>", "<!DOCTYPE html><html></html>", "<ListMultipartUploadsResult>"]
    {
        assert!(parse(other).is_none(), "{other}");
    }
    assert!(parse("<ListMultipartUploadsResult/>").unwrap().is_empty());
}
