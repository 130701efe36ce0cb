package compare;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.Instant;

/** What the job needs of a message; a tick has no orderId. Instants in ms. */
public class Event {
    private static final JsonFactory JSON = new JsonFactory();

    public String orderId;
    public String eventId;
    public String statusCode;
    public long at;
    public long recordedAt;

    public Event() {}

    /** Read a message with the streaming parser: no tree is built. */
    public static Event parse(byte[] data) throws IOException {
        Event event = new Event();
        try (JsonParser parser = JSON.createParser(data)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "order_id" -> event.orderId = parser.getText();
                    case "event_id" -> event.eventId = parser.getText();
                    case "status_code" -> event.statusCode = parser.getText();
                    case "timestamp" -> event.at = Instant.parse(parser.getText()).toEpochMilli();
                    case "recorded_at" -> event.recordedAt = Instant.parse(parser.getText()).toEpochMilli();
                    default -> parser.skipChildren();
                }
            }
        }
        return event;
    }
}
