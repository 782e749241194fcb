import abc, keras


class Base(keras.layers.Layer, abc.ABC):
    @abc.abstractmethod
    def call(self, x): ...


class Good(Base):
    def call(self, x):
        return x
