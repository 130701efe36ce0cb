package compare;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/** State by order in one store; timers by (time, order) in another, looked at in stream time. */
public class Deadlines implements Processor<byte[], Event, String, String> {
    public static final String ORDERS = "orders";
    public static final String TIMERS = "timers";
    public static final String CHANGES_SINK = "changes";
    public static final String ALERTS_SINK = "alerts";
    private static final Duration LOOK_EVERY = Duration.ofMinutes(1);
    private static final long FORGET_MS = 3_600_000;
    private static final byte[] NOTHING = new byte[0];

    private final long silenceMs;
    private ProcessorContext<String, String> context;
    private KeyValueStore<String, Order> orders;
    private KeyValueStore<Bytes, byte[]> timers;

    public Deadlines(long silenceMs) {
        this.silenceMs = silenceMs;
    }

    @Override
    public void init(ProcessorContext<String, String> context) {
        this.context = context;
        orders = context.getStateStore(ORDERS);
        timers = context.getStateStore(TIMERS);
        context.schedule(LOOK_EVERY, PunctuationType.STREAM_TIME, this::look);
    }

    @Override
    public void process(Record<byte[], Event> record) {
        Event event = record.value();
        if (event.orderId == null) {
            return; // a tick: it has moved the stream time
        }
        Order order = orders.get(event.orderId);
        if (order == null) {
            order = new Order();
        }
        if (order.ids.contains(event.eventId)) {
            return;
        }
        if (order.dueAt != Order.NONE && event.recordedAt > order.dueAt) {
            alert(event.orderId, order.dueAt, event.recordedAt);
        }
        order.apply(event, silenceMs);
        if (event.statusCode.equals("DELIVERED")) {
            order.forgetAt = event.recordedAt + FORGET_MS;
        }
        arm(event.orderId, order);
        orders.put(event.orderId, order);
        String change = order.change(event.orderId);
        context.forward(new Record<>(event.orderId, change, event.recordedAt), CHANGES_SINK);
    }

    /** Everything with a timer before now. */
    private void look(long now) {
        List<Bytes> over = new ArrayList<>();
        try (KeyValueIterator<Bytes, byte[]> found = timers.range(entry(0, ""), entry(now, ""))) {
            while (found.hasNext()) {
                KeyValue<Bytes, byte[]> next = found.next();
                over.add(next.key);
            }
        }
        for (Bytes entry : over) {
            timers.delete(entry);
            ByteBuffer parts = ByteBuffer.wrap(entry.get());
            long at = parts.getLong();
            fire(at, StandardCharsets.UTF_8.decode(parts).toString(), now);
        }
    }

    private void fire(long at, String orderId, long now) {
        Order order = orders.get(orderId);
        if (order == null || order.timerAt != at) {
            return;
        }
        order.timerAt = Order.NONE;
        if (order.forgetAt != Order.NONE && order.forgetAt < now) {
            orders.delete(orderId);
            return;
        }
        if (order.dueAt != Order.NONE && order.dueAt < now) {
            alert(orderId, order.dueAt, now);
            order.dueAt = Order.NONE;
        }
        arm(orderId, order);
        orders.put(orderId, order);
    }

    /** An entry for the next thing to do, unless one comes before it anyway. */
    private void arm(String orderId, Order order) {
        long next = order.forgetAt != Order.NONE ? order.forgetAt : order.dueAt;
        if (next != Order.NONE && (order.timerAt == Order.NONE || order.timerAt > next)) {
            order.timerAt = next;
            timers.put(entry(next, orderId), NOTHING);
        }
    }

    private void alert(String orderId, long dueAt, long now) {
        context.forward(new Record<>(orderId, Order.alert(orderId, dueAt), now), ALERTS_SINK);
    }

    private static Bytes entry(long at, String orderId) {
        byte[] id = orderId.getBytes(StandardCharsets.UTF_8);
        return Bytes.wrap(ByteBuffer.allocate(Long.BYTES + id.length).putLong(at).put(id).array());
    }
}
