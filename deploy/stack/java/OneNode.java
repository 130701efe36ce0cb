import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.bootstrap.BootstrapCheck;
import org.elasticsearch.bootstrap.BootstrapContext;
import org.elasticsearch.bootstrap.BootstrapInfo;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.transport.BoundTransportAddress;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one Elasticsearch node from the server's own jars until it is told to end.
 *
 * <p>Arguments: the folder with the modules, the folder with the configuration, then settings as
 * key=value, where a value in [brackets] is a list.
 */
public final class OneNode {
    private static final int CLOSE_TIMEOUT_S = 20;

    public static void main(String[] arguments) throws Exception {
        Path modules = Path.of(arguments[0]);
        Path configuration = Path.of(arguments[1]);
        Settings settings = settingsOf(Arrays.asList(arguments).subList(2, arguments.length));

        // Before anything logs: a logger that is made earlier stays without an appender.
        LogConfigurator.configureESLogging();
        LogConfigurator.registerErrorListener();
        BootstrapInfo.init();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            settings, Map.of(), configuration, () -> "ordertide");
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment, true);
        for (Path data : environment.dataDirs()) {
            Files.createDirectories(data);
        }
        runUntilTold(new UncheckedNode(environment, loaderOf(modules)));
    }

    private static Settings settingsOf(List<String> arguments) {
        Settings.Builder settings = Settings.builder();
        for (String argument : arguments) {
            String[] pair = argument.split("=", 2);
            String value = pair[1];
            if (value.startsWith("[") && value.endsWith("]")) {
                settings.putList(pair[0], value.substring(1, value.length() - 1).split(","));
            } else {
                settings.put(pair[0], value);
            }
        }
        return settings.build();
    }

    private static PluginsLoader loaderOf(Path modules) {
        boolean isModular = Node.class.getModule().isNamed();
        return PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(modules), Set.of(), Map.of(), isModular);
    }

    private static void runUntilTold(Node node) throws Exception {
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
                node.awaitClose(CLOSE_TIMEOUT_S, TimeUnit.SECONDS);
            } catch (Exception error) {
                error.printStackTrace();
            } finally {
                closed.countDown();
            }
        }));
        node.start();
        closed.await();
    }

    /** A node on loopback that may run as root and with the machine's limits as they are. */
    private static final class UncheckedNode extends Node {
        UncheckedNode(Environment environment, PluginsLoader loader) {
            super(environment, loader);
        }

        @Override
        protected void validateNodeBeforeAcceptingRequests(
            BootstrapContext context, BoundTransportAddress address, List<BootstrapCheck> checks) {
            // Bootstrap checks are for production clusters.
        }
    }
}
