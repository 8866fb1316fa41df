//! What S3 servers answer, in XML.

use serde::Deserialize;

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: String,
    /// The server's name for this version; `null` in a bucket that keeps none.
    pub version: String,
    /// The server's entity tag: by it two contents differ that were sent in the same way.
    pub tag: String,
    pub bytes: u64,
    /// Whether it says that the object was deleted, and holds nothing.
    pub is_deletion: bool,
}

/// A page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    pub stored: Vec<Stored>,
    /// Where the next page begins: key and version; `None`: this is the last one.
    pub next: Option<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_version_id_marker: String,
    #[serde(default)]
    version: Vec<Entry>,
    #[serde(default)]
    delete_marker: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    #[serde(default)]
    version_id: String,
    #[serde(default, rename = "ETag")]
    tag: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
}

impl Listing {
    /// Reads a page; the error is the reason in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let page: Page =
            quick_xml::de::from_str(text).map_err(|error| format!("a listing that can't be read: {error}"))?;
        let stored = |entry: Entry, is_deletion| Stored {
            key: entry.key,
            version: entry.version_id,
            tag: entry.tag.trim_matches('"').to_owned(),
            bytes: entry.size,
            is_deletion,
        };
        let versions = page.version.into_iter().map(|entry| stored(entry, false));
        let deletions = page.delete_marker.into_iter().map(|entry| stored(entry, true));
        let mut all: Vec<Stored> = versions.chain(deletions).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        let next = page.is_truncated.then_some((page.next_key_marker, page.next_version_id_marker));
        Ok(Self { stored: all, next })
    }
}

/// The code of a refusal, as `NoSuchBucket`.
pub(super) fn error_code(text: &str) -> Option<String> {
    quick_xml::de::from_str::<Refusal>(text).ok().map(|refusal| refusal.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>wal/</Prefix>
<MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><NextKeyMarker>wal/2</NextKeyMarker>
<NextVersionIdMarker>v2</NextVersionIdMarker>
<Version><Key>wal/1</Key><VersionId>v9</VersionId><IsLatest>true</IsLatest><ETag>&#34;aa&#34;</ETag><Size>3</Size></Version>
<DeleteMarker><Key>wal/1</Key><VersionId>v8</VersionId><IsLatest>false</IsLatest></DeleteMarker>
<Version><Key>wal/2</Key><VersionId>v2</VersionId><ETag>&#34;bb&#34;</ETag><Size>16777216</Size></Version>
</ListVersionsResult>"#;

    #[test]
    fn versions_and_deletions_stand_side_by_side() {
        let listing = Listing::parse(PAGE).unwrap();
        let told: Vec<_> = listing.stored.iter().map(|it| (it.key.as_str(), it.tag.as_str(), it.is_deletion)).collect();
        assert_eq!(told, [("wal/1", "aa", false), ("wal/1", "", true), ("wal/2", "bb", false)]);
        assert_eq!(listing.next, Some(("wal/2".to_owned(), "v2".to_owned())));
        assert!(Listing::parse("<html>").is_err());
    }

    #[test]
    fn a_refusal_tells_its_code() {
        let text = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
        assert_eq!(error_code(text).as_deref(), Some("NoSuchBucket"));
        assert_eq!(error_code("Bad Gateway"), None);
    }
}
