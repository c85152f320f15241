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

    /**
     * When currentTimeMillis() turned to a value, which is told far more finely than its own
     * resolution: the narrowest of some turns, between two readings of the monotonic clock.
     */
    private static String turn() {
        long least = Long.MAX_VALUE;
        String narrowest = "";
        for (int i = 0; i < 20; i++) {
            long before = System.nanoTime();
            long between = before;
            long first = System.currentTimeMillis();
            long millis;
            while ((millis = System.currentTimeMillis()) == first) {
                before = between;
                between = System.nanoTime();
            }
            long after = System.nanoTime();
            if (after - before < least) {
                least = after - before;
                narrowest = millis + " " + before + " " + after;
            }
        }
        return narrowest;
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
            } else if (line.equals("turn")) {
                System.out.println(turn());
            } else if (line.equals("check")) {
                System.out.println(backwards.get() > 0
                        ? "bad " + backwards.get() + " steps back" : "ok " + progress.get());
            } else {
                System.out.println("bad command");
            }
        }
    }
}
