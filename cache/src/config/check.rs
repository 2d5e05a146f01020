use super::{TierConfig, bucket};
use crate::kind::{Kind, Place};

impl TierConfig {
    /// Says what is wrong, whichever features are on.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(kind) = Kind::named(&self.kind) else {
            let known = Kind::known(|kind| format!("{:?}", kind.name));
            return Err(format!("the kind {:?} is unknown; there are {known}", self.kind));
        };
        for (field, value) in self.fields() {
            if value.is_some() && !matches!(field, "kind" | "name") && !kind.takes(field) {
                let takes = kind.fields().collect::<Vec<_>>().join(", ");
                return Err(format!("{field:?} is unknown to {}, which takes {takes}", kind.name));
            }
        }
        if self.name.as_ref().is_some_and(String::is_empty) {
            return Err("the name is empty".into());
        }
        match kind.place {
            Place::Process => {}
            Place::Path => self.check_path()?,
            Place::Bucket => bucket::check(self)?,
        }
        self.check_role()?;
        let is_written = self.write.is_some() && !self.is_never_written();
        if self.is_read_only() && (is_written || self.durable_puts == Some(true)) {
            let why = "it is read-only and takes no puts: leave durable_puts out, and write, unless it is \"never\"";
            return Err(why.into());
        }
        #[cfg(feature = "memory")]
        if let Some(policy) = &self.policy {
            let policy = policy.parse::<cache_memory::Policy>();
            policy.map_err(|error| error.detail().unwrap_or("unknown policy").to_owned())?;
        }
        Ok(())
    }

    fn check_path(&self) -> Result<(), String> {
        let Some(path) = self.path.as_ref().filter(|path| path.is_absolute() && path.parent().is_some())
        else {
            let name = if self.kind == "redb" { "build.redb" } else { "build" };
            return Err(format!("{} takes an absolute path, such as /var/cache/{name}", self.kind));
        };
        // As it was written: the components of a path leave single dots out.
        let written = path.as_os_str().as_encoded_bytes();
        if written.split(|byte| *byte == b'/').any(|part| matches!(part, b"." | b"..")) {
            return Err("the path must not have dot segments".into());
        }
        if written.contains(&0) {
            return Err("the path must not contain NUL".into());
        }
        Ok(())
    }
}
