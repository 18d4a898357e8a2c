import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.ObjectMapper;
import org.springframework.data.domain.Page;
import org.springframework.data.domain.PageImpl;
import org.springframework.data.domain.PageRequest;
import org.springframework.data.redis.serializer.GenericJackson2JsonRedisSerializer;

/** Writes a page as the original's cache did, and reads it back. */
public class CachedPage {

    public static class Concert {
        public long id;
        public String name;
    }

    public static void main(String[] arguments) {
        Concert concert = new Concert();
        concert.id = 1;
        concert.name = "봄밤의 콘서트";
        Page<Concert> page = new PageImpl<>(new ArrayList<>(List.of(concert)), PageRequest.of(0, 20), 1);
        readBack("default typing", new GenericJackson2JsonRedisSerializer(), page);
        readBack("a plain ObjectMapper", new GenericJackson2JsonRedisSerializer(new ObjectMapper()), page);
    }

    @SuppressWarnings("unchecked")
    private static void readBack(String title, GenericJackson2JsonRedisSerializer serializer, Page<Concert> page) {
        System.out.println("== " + title);
        try {
            byte[] stored = serializer.serialize(page);
            System.out.println(new String(stored, StandardCharsets.UTF_8));
            Page<Concert> read = (Page<Concert>) serializer.deserialize(stored);
            System.out.println("read: " + read.getContent().get(0).name);
        } catch (RuntimeException failure) {
            System.out.println(failure);
        }
    }
}
