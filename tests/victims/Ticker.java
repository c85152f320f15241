import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicLong;

/** A Java program with a clock of its own: see tests/harness/victim.h. */
public final class Ticker {
    private static final AtomicLong progress = new AtomicLong();
    private static final AtomicLong backwards = new AtomicLong();

    private static void watch() {
        long last = System.nanoTime();
        while (true) {
            for (int i = 0; i < 1000; i++) {
                long now = System.nanoTime();
                if (now - last < 0) {
                    backwards.incrementAndGet();
                }
                last = now;
                progress.incrementAndGet();
            }
            try {
                Thread.sleep(1);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < 2; i++) {
            Thread thread = new Thread(Ticker::watch);
            thread.setDaemon(true);
            thread.start();
        }
        System.out.println("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null && !line.equals("quit");) {
            if (line.equals("now")) {
                Instant now = Instant.now();
                System.out.println(now.getEpochSecond() * 1_000_000_000L + now.getNano());
            } else if (line.equals("check")) {
                System.out.println(backwards.get() > 0
                        ? "bad " + backwards.get() + " steps back" : "ok " + progress.get());
            } else {
                System.out.println("bad command");
            }
        }
    }
}
