package compare;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** An order's state, as in order.py. Public fields and no-argument constructor: a Flink POJO. */
public class Order {
    public static final long NONE = 0;

    public String status = "";
    public long updatedAt;
    public Map<String, Long> milestones = new HashMap<>();
    public List<String> ids = new ArrayList<>();
    /** The armed deadline. */
    public long dueAt = NONE;
    /** The one timer that is set for this order; a later deadline isn't a new timer. */
    public long timerAt = NONE;
    /** From when on a delivered order is forgotten. */
    public long forgetAt = NONE;

    public Order() {}

    /** Take an event that is no duplicate. */
    public void apply(Event event, long silenceMs) {
        ids.add(event.eventId);
        milestones.merge(event.statusCode, event.at, Math::min);
        if (event.at < updatedAt) {
            return;
        }
        updatedAt = event.at;
        switch (event.statusCode) {
            case "SCAN" -> dueAt = event.at + silenceMs;
            case "COLLECTED", "IN_TRANSIT", "OUT_FOR_DELIVERY" -> {
                status = "SHIPPED";
                dueAt = event.at + silenceMs;
            }
            case "LABEL_CREATED" -> { }
            case "DELIVERED" -> {
                status = "DELIVERED";
                dueAt = NONE;
            }
            default -> status = event.statusCode;
        }
    }

    /** The message for the topic of changes; codes and ids need no escaping. */
    public byte[] change(String orderId) {
        StringBuilder text = new StringBuilder(320);
        text.append("{\"order_id\":\"").append(orderId).append("\",\"status\":");
        if (status.isEmpty()) {
            text.append("null");
        } else {
            text.append('"').append(status).append('"');
        }
        text.append(",\"updated_at\":").append(updatedAt).append(",\"milestones\":{");
        String separator = "";
        for (Map.Entry<String, Long> entry : milestones.entrySet()) {
            text.append(separator).append('"').append(entry.getKey()).append("\":").append(entry.getValue());
            separator = ",";
        }
        text.append("},\"events\":").append(ids.size()).append('}');
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    /** The message for the topic of alerts. */
    public static byte[] alert(String orderId, long dueAt) {
        String text = "{\"order_id\":\"" + orderId + "\",\"due_at\":" + dueAt + "}";
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
