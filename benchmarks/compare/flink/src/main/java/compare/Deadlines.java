package compare;

import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/** Keyed by order: state, one event-time timer an order, changes out, alerts to the side. */
public class Deadlines extends KeyedProcessFunction<String, Event, Said> {
    public static final OutputTag<Said> ALERTS = new OutputTag<>("alerts") {};
    private static final long FORGET_MS = 3_600_000;

    private final long silenceMs;
    private transient ValueState<Order> state;

    public Deadlines(long silenceMs) {
        this.silenceMs = silenceMs;
    }

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext().getState(new ValueStateDescriptor<>("order", Order.class));
    }

    @Override
    public void processElement(Event event, Context context, Collector<Said> out) throws Exception {
        Order order = state.value();
        if (order == null) {
            order = new Order();
        }
        if (order.ids.contains(event.eventId)) {
            return;
        }
        // The watermark is behind: over all partitions, and it comes only now and then.
        if (order.dueAt != Order.NONE && event.recordedAt > order.dueAt) {
            context.output(ALERTS, said(event.orderId, Order.alert(event.orderId, order.dueAt)));
        }
        order.apply(event, silenceMs);
        if (event.statusCode.equals("DELIVERED")) {
            order.forgetAt = event.recordedAt + FORGET_MS;
        }
        arm(order, context);
        state.update(order);
        out.collect(said(event.orderId, order.change(event.orderId)));
    }

    @Override
    public void onTimer(long at, OnTimerContext context, Collector<Said> out) throws Exception {
        Order order = state.value();
        if (order == null || order.timerAt != at) {
            return;
        }
        order.timerAt = Order.NONE;
        if (order.forgetAt != Order.NONE && order.forgetAt <= at) {
            state.clear();
            return;
        }
        if (order.dueAt != Order.NONE && order.dueAt <= at) {
            String orderId = context.getCurrentKey();
            context.output(ALERTS, said(orderId, Order.alert(orderId, order.dueAt)));
            order.dueAt = Order.NONE;
        }
        arm(order, context);
        state.update(order);
    }

    /** A timer for the next thing to do, unless one comes before it anyway. */
    private static void arm(Order order, KeyedProcessFunction<String, Event, Said>.Context context) {
        long next = order.forgetAt != Order.NONE ? order.forgetAt : order.dueAt;
        if (next != Order.NONE && (order.timerAt == Order.NONE || order.timerAt > next)) {
            order.timerAt = next;
            context.timerService().registerEventTimeTimer(next);
        }
    }

    private static Said said(String orderId, byte[] value) {
        return new Said(orderId.getBytes(StandardCharsets.UTF_8), value);
    }
}
