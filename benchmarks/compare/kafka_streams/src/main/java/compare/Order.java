package compare;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** An order's state, as in order.py, in a compact form for the store. */
public class Order {
    public static final long NONE = 0;

    public String status = "";
    public long updatedAt;
    public Map<String, Long> milestones = new TreeMap<>();
    public List<String> ids = new ArrayList<>();
    /** The armed deadline. */
    public long dueAt = NONE;
    /** The one entry in the store of timers for this order; a later deadline isn't a new one. */
    public long timerAt = NONE;
    /** From when on a delivered order is forgotten. */
    public long forgetAt = NONE;

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
    public String change(String orderId) {
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
        return text.append("},\"events\":").append(ids.size()).append('}').toString();
    }

    /** The message for the topic of alerts. */
    public static String alert(String orderId, long dueAt) {
        return "{\"order_id\":\"" + orderId + "\",\"due_at\":" + dueAt + "}";
    }

    /** For the store. */
    public static Serde<Order> serde() {
        Serializer<Order> write = (topic, order) -> order == null ? null : order.written();
        Deserializer<Order> read = (topic, data) -> data == null ? null : read(data);
        return Serdes.serdeFrom(write, read);
    }

    private byte[] written() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeUTF(status);
            for (long instant : new long[] {updatedAt, dueAt, timerAt, forgetAt}) {
                out.writeLong(instant);
            }
            out.writeShort(milestones.size());
            for (Map.Entry<String, Long> entry : milestones.entrySet()) {
                out.writeUTF(entry.getKey());
                out.writeLong(entry.getValue());
            }
            out.writeShort(ids.size());
            for (String id : ids) {
                out.writeUTF(id);
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return bytes.toByteArray();
    }

    private static Order read(byte[] data) {
        Order order = new Order();
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(data))) {
            order.status = in.readUTF();
            order.updatedAt = in.readLong();
            order.dueAt = in.readLong();
            order.timerAt = in.readLong();
            order.forgetAt = in.readLong();
            for (int left = in.readShort(); left > 0; left--) {
                order.milestones.put(in.readUTF(), in.readLong());
            }
            for (int left = in.readShort(); left > 0; left--) {
                order.ids.add(in.readUTF());
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return order;
    }
}
