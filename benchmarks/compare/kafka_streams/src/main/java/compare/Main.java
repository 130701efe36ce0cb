package compare;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.Stores;

/** The job: Main BOOTSTRAP CHANGES ALERTS SILENCE_MS FOLDER COMMIT_MS. */
public final class Main {
    private static final int HELD_MS = 2_000_000; // it is held while others have their turn

    private Main() {}

    public static void main(String[] arguments) {
        long silenceMs = Long.parseLong(arguments[3]);
        Topology topology = topology(arguments[1], arguments[2], silenceMs);
        KafkaStreams streams = new KafkaStreams(topology, settings(arguments));
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology(String changes, String alerts, long silenceMs) {
        Deserializer<Event> parsing = (topic, data) -> {
            try {
                return Event.parse(data);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        StringSerializer text = new StringSerializer();
        return new Topology()
                .addSource(Topology.AutoOffsetReset.EARLIEST, "events",
                        (record, before) -> ((Event) record.value()).recordedAt,
                        new ByteArrayDeserializer(), parsing, "events")
                .addProcessor("deadlines", () -> new Deadlines(silenceMs), "events")
                .addStateStore(Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(Deadlines.ORDERS), Serdes.String(), Order.serde())
                        .withCachingEnabled(), "deadlines")
                .addStateStore(Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(Deadlines.TIMERS), Serdes.Bytes(), Serdes.ByteArray()),
                        "deadlines")
                .addSink(Deadlines.CHANGES_SINK, changes, text, text, "deadlines")
                .addSink(Deadlines.ALERTS_SINK, alerts, text, text, "deadlines");
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[5]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.producerPrefix("acks"), "all");
        settings.put(StreamsConfig.producerPrefix("enable.idempotence"), true);
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 5);
        settings.put(StreamsConfig.producerPrefix("batch.size"), 262_144);
        settings.put(StreamsConfig.producerPrefix("buffer.memory"), 67_108_864L);
        settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 5_000);
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), HELD_MS);
        settings.put(StreamsConfig.consumerPrefix("max.poll.interval.ms"), HELD_MS);
        return settings;
    }
}
