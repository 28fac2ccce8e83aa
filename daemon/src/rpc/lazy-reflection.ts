/**
 * Server reflection that is made when somebody asks for it: it is a third of a program's start, which guests may be
 * waiting for, and hardly anybody asks.
 */
import type {
  handleBidiStreamingCall,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';

/** The published versions; the older one is what many tools ask first. */
const VERSIONS = ['v1', 'v1alpha'];
const METHOD = 'ServerReflectionInfo';

interface Reflection {
  readonly method: MethodDefinition<object, object>;
  readonly handle: handleBidiStreamingCall<object, object>;
}

export interface ReflectedFiles {
  readonly files: readonly string[];
  readonly folder: string;
  /** Full names of the services to be listed. */
  readonly services: readonly string[];
}

export function addLazyReflection(server: Server, reflected: ReflectedFiles): void {
  let made: ReadonlyMap<string, Reflection> | undefined;
  for (const version of VERSIONS) {
    const path = `/grpc.reflection.${version}.ServerReflection/${METHOD}`;
    const reflection = (): Reflection => {
      made ??= makeReflection(reflected);
      const one = made.get(path);
      if (one === undefined) throw new Error(`@grpc/reflection does not know ${path}`);
      return one;
    };
    server.register(
      path,
      (call: ServerDuplexStream<object, object>) => {
        reflection().handle(call);
      },
      (reply: object) => reflection().method.responseSerialize(reply),
      (bytes: Buffer) => reflection().method.requestDeserialize(bytes),
      'bidi',
    );
  }
}

/** What the library would add to a server, by the path of the call. */
function makeReflection({ files, folder, services }: ReflectedFiles): Map<string, Reflection> {
  const made = new Map<string, Reflection>();
  const catcher = {
    addService: (definition: ServiceDefinition, handlers: UntypedServiceImplementation) => {
      const method = definition[METHOD] as MethodDefinition<object, object>;
      const handle = handlers[METHOD] as handleBidiStreamingCall<object, object>;
      made.set(method.path, { method, handle });
    },
  };
  const definitions = loadSync([...files], { includeDirs: [folder] });
  const library = new ReflectionService(definitions, { services: [...services] });
  library.addToServer(catcher);
  return made;
}
