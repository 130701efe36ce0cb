package compare;

import java.io.IOException;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;

/** The job: Main BOOTSTRAP CHANGES ALERTS SILENCE_MS FOLDER hashmap|rocksdb CHECKPOINT_MS. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        StreamExecutionEnvironment flow = environment(arguments[4], arguments[5], arguments[6]);
        KafkaSource<Event> source = KafkaSource.<Event>builder()
                .setBootstrapServers(bootstrap)
                .setTopics("events")
                .setGroupId(arguments[1] + ".group")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new Parsing())
                .setProperty("max.poll.records", "5000")
                .build();
        WatermarkStrategy<Event> clock = WatermarkStrategy.<Event>forMonotonousTimestamps()
                .withTimestampAssigner((event, appended) -> event.recordedAt);
        SingleOutputStreamOperator<Said> changes = flow.fromSource(source, clock, "events")
                .filter(event -> event.orderId != null)
                .keyBy(event -> event.orderId)
                .process(new Deadlines(Long.parseLong(arguments[3])));
        changes.sinkTo(sink(bootstrap, arguments[1])).name("changes");
        changes.getSideOutput(Deadlines.ALERTS).sinkTo(sink(bootstrap, arguments[2])).name("alerts");
        flow.execute("compare");
    }

    private static StreamExecutionEnvironment environment(String folder, String backend, String everyMs) {
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", backend);
        settings.setString("execution.checkpointing.interval", everyMs + " ms");
        settings.setString("execution.checkpointing.incremental", "true");
        settings.setString("execution.checkpointing.timeout", "1 d"); // it is held between its turns
        settings.setString("execution.checkpointing.tolerable-failed-checkpoints", "1000");
        settings.setString("execution.checkpointing.dir", "file://" + folder + "/checkpoints");
        settings.setString("io.tmp.dirs", folder);
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("taskmanager.memory.managed.size", "1 gb");
        settings.setString("heartbeat.timeout", "86400000");
        settings.setString("heartbeat.interval", "10000");
        return StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    }

    private static KafkaSink<Said> sink(String bootstrap, String topic) {
        Properties settings = new Properties();
        settings.setProperty("acks", "all");
        settings.setProperty("enable.idempotence", "true");
        settings.setProperty("compression.type", "lz4");
        settings.setProperty("linger.ms", "5");
        settings.setProperty("batch.size", "262144");
        settings.setProperty("buffer.memory", "67108864");
        return KafkaSink.<Said>builder()
                .setBootstrapServers(bootstrap)
                .setKafkaProducerConfig(settings)
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setRecordSerializer(new Writing(topic))
                .build();
    }

    /** Bytes to an event. */
    private static final class Parsing extends AbstractDeserializationSchema<Event> {
        @Override
        public Event deserialize(byte[] data) throws IOException {
            return Event.parse(data);
        }
    }

    /** A message as it is. Flink asks a schema for its types, which lambdas don't have. */
    private static final class Writing implements KafkaRecordSerializationSchema<Said> {
        private final String topic;

        Writing(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(Said said, KafkaSinkContext context, Long at) {
            return new ProducerRecord<>(topic, said.key, said.value);
        }
    }
}
