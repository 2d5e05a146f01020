//! The image that containers are made from: this executable, and the libraries that it needs.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use testcontainers::{
    ContainerAsync, ContainerRequest, GenericBuildableImage, GenericImage, ImageExt,
    core::{IntoContainerPort, WaitFor},
    runners::{AsyncBuilder, AsyncRunner},
};
use tokio::runtime::Runtime;

use crate::{
    bucket::{KEY, SECRET},
    process::free_address,
    trials::{Absent, variable},
};

const PORT: u16 = 9000;
/// Names what this has left behind.
const LABEL: &str = "cache-s3-test";

const DOCKERFILE: &str = "FROM scratch
LABEL cache-s3-test=server
COPY root/ /
EXPOSE 9000
ENTRYPOINT [\"/server\", \"serve\"]
";

/// What containers live on, which outlasts every test.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    })
}

/// A container that serves, at an address that stays when it is started again.
pub(crate) struct Served {
    pub(crate) container: ContainerAsync<GenericImage>,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn start() -> Result<Self, Absent> {
        let image = image()?;
        runtime().block_on(async {
            // Docker chooses another port at every start, unless it is told one.
            let address = free_address()?;
            let request = image.request().with_mapped_port(address.port(), PORT.tcp());
            let request = request.with_startup_timeout(Duration::from_secs(60));
            let container = request.start().await.map_err(Absent::broken)?;
            Ok(Self { container, address })
        })
    }

    /// Ends it, and leaves nothing of it behind.
    pub(crate) fn remove(self) {
        let _ = runtime().block_on(self.container.rm());
    }
}

#[derive(Clone)]
enum Image {
    /// Ours.
    Built(GenericImage),
    /// Another one, by name and tag.
    Named(String, String),
}

impl Image {
    fn request(&self) -> ContainerRequest<GenericImage> {
        let serving = |image: GenericImage, text: &str| {
            image.with_exposed_port(PORT.tcp()).with_wait_for(WaitFor::message_on_either_std(text))
        };
        match self {
            Self::Built(image) => serving(image.clone(), "listening").with_cmd(["0.0.0.0:9000"]),
            Self::Named(name, tag) if name.contains("minio") => {
                let image = serving(GenericImage::new(name, tag), "API:");
                let request =
                    image.with_env_var("MINIO_ROOT_USER", KEY).with_env_var("MINIO_ROOT_PASSWORD", SECRET);
                request.with_cmd(["server", "/data"])
            }
            Self::Named(name, tag) => {
                serving(GenericImage::new(name, tag), "listening").with_cmd(["0.0.0.0:9000"])
            }
        }
    }
}

/// Made once, by the first who asks.
fn image() -> Result<Image, Absent> {
    static IMAGE: Mutex<Option<Result<Image, Absent>>> = Mutex::new(None);
    let mut image = IMAGE.lock().unwrap_or_else(PoisonError::into_inner);
    image.get_or_insert_with(make).clone()
}

fn make() -> Result<Image, Absent> {
    is_docker_here()?;
    if let Some(named) = variable("CACHE_S3_TEST_IMAGE") {
        let (name, tag) =
            named.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((&named, "latest"));
        return Ok(Image::Named(name.to_owned(), tag.to_owned()));
    }
    let own = std::env::current_exe().map_err(Absent::broken)?;
    let dir = tempfile::tempdir().map_err(Absent::broken)?;
    let mut image = GenericBuildableImage::new(LABEL, "latest").with_dockerfile_string(DOCKERFILE);
    for library in libraries(&own)? {
        let target = format!("root{}", library.display());
        image = image.with_file(library, target);
    }
    image = image.with_file(small(&own, dir.path())?, "root/server");
    let built = runtime().block_on(image.build_image()).map_err(Absent::broken)?;
    Ok(Image::Built(built))
}

fn is_docker_here() -> Result<(), Absent> {
    let version = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Absent::needs(format!(
                "needs a Docker daemon: {}",
                said.lines().next().unwrap_or("no answer")
            )))
        }
        Err(error) => Err(Absent::needs(format!("needs Docker: docker: {error}"))),
    }
}

/// Without symbols, where there is a tool for that.
fn small(executable: &Path, dir: &Path) -> Result<PathBuf, Absent> {
    let copy = dir.join("server");
    let stripped = Command::new("strip").arg("-o").arg(&copy).arg(executable).output();
    if !stripped.is_ok_and(|output| output.status.success()) {
        std::fs::copy(executable, &copy).map_err(Absent::broken)?;
    }
    Ok(copy)
}

/// What an executable is linked with: `ldd` prints a path a line.
fn libraries(executable: &Path) -> Result<Vec<PathBuf>, Absent> {
    let output = Command::new("ldd").arg(executable).output().map_err(Absent::broken)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// Removes what images of earlier runs have left.
pub(crate) fn prune() {
    let filter = format!("label={LABEL}");
    let _ = Command::new("docker").args(["image", "prune", "--force", "--filter", &filter]).output();
}
