import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after the other in one process, since each start of Java costs more than what
 * most of them do.
 *
 * <p>Reads a line per tool: the class, the file that is its standard input or nothing, and its arguments, divided by
 * tabs. Answers with a line that has its exit status and the number of bytes that it printed, and these bytes.
 */
public final class Tools {
    /** Ends a tool that would end the process. */
    private static final class Exited extends RuntimeException {
        Exited() {
            super(null, null, false, false);
        }
    }

    /**
     * What the tool that runs exits with. Some catch even their own end, print it and exit again: only the first counts,
     * and what is printed until then.
     */
    private static Integer status;
    private static final List<Runnable> atExit = new ArrayList<>();

    public static void main(String[] none) throws Exception {
        Exit.setExitProcedure((code, message) -> {
            if (status == null) {
                status = code;
                runHooks();
                System.setOut(new PrintStream(OutputStream.nullOutputStream()));
                System.setErr(System.out);
            }
            throw new Exited();
        });
        Exit.setShutdownHookAdder((name, hook) -> atExit.add(hook));
        PrintStream answers = System.out;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t", -1);
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8);
            System.setOut(stream);
            System.setErr(stream);
            byte[] input = words[1].isEmpty() ? new byte[0] : Files.readAllBytes(Path.of(words[1]));
            System.setIn(new ByteArrayInputStream(input));
            run(words[0], Arrays.copyOfRange(words, 2, words.length));
            stream.flush();
            answers.println(status + " " + printed.size());
            printed.writeTo(answers);
            answers.flush();
        }
    }

    private static void run(String tool, String[] args) throws ReflectiveOperationException {
        status = null;
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException thrown) {
            if (status == null) {
                thrown.getCause().printStackTrace();
                status = 1;
                runHooks();
            }
        }
        if (status == null) {
            status = 0;
            runHooks();
        }
    }

    private static void runHooks() {
        atExit.forEach(Runnable::run);
        atExit.clear();
    }
}
