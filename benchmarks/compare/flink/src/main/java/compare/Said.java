package compare;

/** A message to be written. */
public class Said {
    public byte[] key;
    public byte[] value;

    public Said() {}

    public Said(byte[] key, byte[] value) {
        this.key = key;
        this.value = value;
    }
}
