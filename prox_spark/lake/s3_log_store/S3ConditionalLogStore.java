package prox_spark;

import io.delta.storage.HadoopFileSystemLogStore;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * A log store of Delta for S3 that is safe for several drivers: S3 itself refuses a commit whose file is there already.
 *
 * <p>It needs hadoop-aws 3.4.2 or later, which sends `If-None-Match: *` with the last request of a write, and a store that
 * honours it, as S3 does. With an older hadoop-aws each commit fails, because the option is mandatory.
 *
 * <p>A commit whose answer is lost is sent again, and S3 then refuses what was written a moment ago. So each write carries an
 * id of its own, and a refused one looks whose id the file has.
 */
public class S3ConditionalLogStore extends HadoopFileSystemLogStore {
  private static final String CONDITIONAL = "fs.option.create.conditional.overwrite";
  private static final String ID_HEADER = "prox-spark-write-id";
  private static final int TRIES = 5;
  private static final long PAUSE_MILLISECONDS = 200;

  public S3ConditionalLogStore(Configuration conf) {
    super(conf);
  }

  @Override
  public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration conf) throws IOException {
    FileSystem store = path.getFileSystem(conf);
    byte[] content = join(actions);
    if (overwrite) {
      try (OutputStream out = store.create(path, true)) {
        out.write(content);
      }
      return;
    }
    String id = UUID.randomUUID().toString();
    for (int n = 1; ; n++) {
      try {
        create(store, path, content, id);
        return;
      } catch (IOException error) {
        byte[] found = readId(store, path);
        if (found != null && Arrays.equals(found, id.getBytes(StandardCharsets.UTF_8))) {
          return;
        }
        if (found != null) {
          throw asExisting(path, error);
        }
        // Nothing is there: another write of the same file was under way, and S3 asks to try again (409), or the store failed.
        if (n == TRIES) {
          throw error;
        }
        pause(n * PAUSE_MILLISECONDS);
      }
    }
  }

  @Override
  public Boolean isPartialWriteVisible(Path path, Configuration conf) {
    return false; // An object appears as a whole, when its last request is done.
  }

  private static void create(FileSystem store, Path path, byte[] content, String id) throws IOException {
    // Not closed after a failure: closing would put what was written so far in place.
    FSDataOutputStreamBuilder<?, ?> builder = store.createFile(path).create().overwrite(true);
    builder.must(CONDITIONAL, true);
    builder.must("fs.s3a.create.header." + ID_HEADER, id);
    OutputStream out = builder.build();
    out.write(content);
    out.close();
  }

  private static void pause(long milliseconds) throws IOException {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw (IOException) new InterruptedIOException("interrupted while a commit waited").initCause(error);
    }
  }

  /** Returns the id of the write that made a file, empty if it has none, null if there is no file. */
  private static byte[] readId(FileSystem store, Path path) throws IOException {
    if (!store.exists(path)) {
      return null;
    }
    byte[] id = store.getXAttrs(path).get("header." + ID_HEADER);
    return id == null ? new byte[0] : id;
  }

  private static FileAlreadyExistsException asExisting(Path path, IOException cause) {
    FileAlreadyExistsException error = new FileAlreadyExistsException(path.toString());
    error.initCause(cause);
    return error;
  }

  private static byte[] join(Iterator<String> actions) {
    StringBuilder lines = new StringBuilder();
    while (actions.hasNext()) {
      lines.append(actions.next()).append('\n');
    }
    return lines.toString().getBytes(StandardCharsets.UTF_8);
  }
}
