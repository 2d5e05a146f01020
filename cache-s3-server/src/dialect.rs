/// What a server does otherwise than S3; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// Conditions on puts count for nothing, as on Garage.
    pub ignores_conditions_on_put: bool,
    /// Conditions on gets count for nothing, as on s3s-fs.
    pub ignores_conditions_on_get: bool,
    /// A range counted from the end is answered with 416.
    pub refuses_suffix_ranges: bool,
    /// A range counted from the end is answered with the whole object.
    pub ignores_suffix_ranges: bool,
    /// Listings tell no ETag.
    pub lists_without_etag: bool,
    /// Listings tell whole seconds, as S3 itself does; else milliseconds.
    pub lists_whole_seconds: bool,
    /// Google's headers and tokens instead of Amazon's and signatures.
    pub gcs: bool,
}
