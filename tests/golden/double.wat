(func $region_10000 (param $pc i32) (param $depth i32) (param $fuel i32) (result i32 i32)
  (local $slot10 i64) (local $slot33 f64) (local $slot35 f64) (local $slot34 f64) (local $slot36 f64) (local $slot37 f64) (local $slot6 i64) (local $slot7 i64) (local $slot7168 i64) (local $product64 i32) (local $sum64 i32) (local $base0 i32) (local $address i64) (local $double f64) (local $pair v128) (local $index i32)
  block ;; @1
    block (result i32) ;; @2
      block (result i32) ;; @3
        i32.const 0
        i64.load offset=80
        local.set $slot10
        i32.const 0
        f64.load offset=264
        local.set $slot33
        i32.const 0
        f64.load offset=280
        local.set $slot35
        i32.const 0
        f64.load offset=272
        local.set $slot34
        i32.const 0
        f64.load offset=288
        local.set $slot36
        i32.const 0
        f64.load offset=296
        local.set $slot37
        i32.const 0
        i64.load offset=48
        local.set $slot6
        i32.const 0
        i64.load offset=56
        local.set $slot7
        i32.const 0
        i32.const 0
        i32.load offset=65296
        i32.sub
        i32.const -4194305
        i32.and
        local.set $product64
        i32.const 0
        i32.const 0
        i32.load offset=65296
        i32.sub
        i32.const -2097152
        i32.and
        local.set $sum64
        loop ;; @4
          local.get $fuel
          i32.const 7
          i32.sub
          local.set $fuel
          local.get $slot10
          local.tee $address
          i32.const 0
          i64.load offset=1277968
          i64.sub
          i32.const 0
          i64.load offset=1277976
          i64.ge_u
          if ;; @5
            local.get $address
            i32.const 1277968
            i32.const 8
            i32.const 1
            i32.const 8
            call $reach
            i32.eqz
            if ;; @6
              i32.const -2
              br 4 (;@2;)
            end
          end
          local.get $address
          i32.wrap_i64
          local.set $base0
          local.get $base0
          f64.load offset=67108864
          local.set $slot33
          block ;; @5
            block ;; @6
              local.get $slot33
              local.get $slot35
              f64.mul
              local.tee $double
              i64.reinterpret_f64
              i64.const 32
              i64.shr_u
              i32.wrap_i64
              i32.const 1
              i32.shl
              i32.const 2097153
              i32.sub
              local.get $product64
              i32.ge_u
              br_if 0 (;@6;)
              local.get $double
              local.set $slot34
              br 1 (;@5;)
            end
            block ;; @6
              i32.const 0
              i32.load offset=65288
              br_if 0 (;@6;)
              local.get $double
              f64.abs
              f64.const 1.1830521861667747e-271
              f64.lt
              br_if 0 (;@6;)
              local.get $slot33
              f64x2.splat
              local.get $slot35
              f64x2.splat
              local.get $double
              f64.neg
              f64x2.splat
              f64x2.relaxed_madd
              v128.any_true
              br_if 0 (;@6;)
              local.get $double
              local.set $slot34
              br 1 (;@5;)
            end
            block ;; @6
              local.get $slot33
              local.get $slot35
              i32.const 0
              i32.load offset=65296
              call $product64
              local.tee $double
              local.get $double
              f64.ne
              br_if 0 (;@6;)
              local.get $double
              local.set $slot34
              br 1 (;@5;)
            end
            i32.const 0
            local.get $slot33
            f64.store offset=264
            i32.const 0
            local.get $slot35
            f64.store offset=280
            i32.const 6
            call $step
            if ;; @6
              i32.const -3
              br 4 (;@2;)
            end
            i32.const 0
            f64.load offset=272
            local.set $slot34
            i32.const 0
            i32.const 0
            i32.load offset=65296
            i32.sub
            i32.const -4194305
            i32.and
            local.set $product64
            i32.const 0
            i32.const 0
            i32.load offset=65296
            i32.sub
            i32.const -2097152
            i32.and
            local.set $sum64
          end
          block ;; @5
            block ;; @6
              local.get $slot36
              local.get $slot34
              f64.add
              local.tee $double
              i64.reinterpret_f64
              i64.const 32
              i64.shr_u
              i32.wrap_i64
              i32.const 1
              i32.shl
              local.get $sum64
              i32.ge_u
              br_if 0 (;@6;)
              local.get $double
              local.set $slot36
              br 1 (;@5;)
            end
            block ;; @6
              i32.const 0
              i32.load offset=65288
              br_if 0 (;@6;)
              local.get $double
              f64x2.splat
              local.get $slot36
              f64x2.splat
              local.get $slot34
              f64x2.replace_lane 1
              local.tee $pair
              f64x2.sub
              local.get $pair
              local.get $pair
              i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
              f64x2.ne
              v128.any_true
              br_if 0 (;@6;)
              local.get $double
              local.set $slot36
              br 1 (;@5;)
            end
            i32.const 0
            local.get $slot36
            f64.store offset=288
            i32.const 0
            local.get $slot34
            f64.store offset=272
            i32.const 12
            call $step
            if ;; @6
              i32.const -4
              br 4 (;@2;)
            end
            i32.const 0
            f64.load offset=288
            local.set $slot36
            i32.const 0
            i32.const 0
            i32.load offset=65296
            i32.sub
            i32.const -4194305
            i32.and
            local.set $product64
            i32.const 0
            i32.const 0
            i32.load offset=65296
            i32.sub
            i32.const -2097152
            i32.and
            local.set $sum64
          end
          block ;; @5
            block ;; @6
              local.get $slot36
              local.get $slot37
              f64.lt
              local.get $slot36
              local.get $slot37
              f64.ge
              i32.or
              i32.eqz
              br_if 0 (;@6;)
              local.get $slot36
              local.get $slot37
              f64.lt
              i64.extend_i32_u
              local.set $slot6
              br 1 (;@5;)
            end
            i32.const 0
            local.get $slot36
            f64.store offset=288
            i32.const 0
            local.get $slot37
            f64.store offset=296
            i32.const 18
            call $step
            if ;; @6
              i32.const -5
              br 4 (;@2;)
            end
            i32.const 0
            i64.load offset=48
            local.set $slot6
            i32.const 0
            i32.const 0
            i32.load offset=65296
            i32.sub
            i32.const -4194305
            i32.and
            local.set $product64
            i32.const 0
            i32.const 0
            i32.load offset=65296
            i32.sub
            i32.const -2097152
            i32.and
            local.set $sum64
          end
          local.get $slot10
          i64.const 8
          i64.add
          local.set $slot10
          i32.const 0
          local.get $fuel
          i32.const 7
          i32.add
          i32.store offset=65364
          i32.const 30
          call $step
          drop
          i32.const 0
          i64.load offset=57344
          local.set $slot7168
          i32.const 0
          i32.const 0
          i32.load offset=65296
          i32.sub
          i32.const -4194305
          i32.and
          local.set $product64
          i32.const 0
          i32.const 0
          i32.load offset=65296
          i32.sub
          i32.const -2097152
          i32.and
          local.set $sum64
          local.get $slot7168
          local.set $slot7
          local.get $slot6
          i64.const 0
          i64.ne
          if ;; @5
            local.get $fuel
            i32.const 0
            i32.lt_s
            if ;; @6
              i32.const 65536
              br 4 (;@2;)
            end
            br 1 (;@4;)
          else
            local.get $fuel
            i32.const 1
            i32.sub
            local.set $fuel
            i32.const -6
            br 3 (;@2;)
          end
          unreachable
        end
        unreachable
      end
      local.set $pc
      i32.const 0
      local.get $slot10
      i64.store offset=80
      i32.const 0
      local.get $slot33
      f64.store offset=264
      i32.const 0
      local.get $slot34
      f64.store offset=272
      i32.const 0
      local.get $slot36
      f64.store offset=288
      i32.const 0
      local.get $slot6
      i64.store offset=48
      i32.const 0
      local.get $slot7
      i64.store offset=56
      local.get $fuel
      i32.const 0
      i32.lt_s
      br_if 1 (;@1;)
      local.get $pc
      i32.const 1
      i32.shr_u
      i32.const 4095
      i32.and
      i32.const 3
      i32.shl
      local.set $index
      local.get $index
      i32.load offset=1245184
      local.get $pc
      i32.ne
      if ;; @3
        local.get $pc
        local.set $pc
        br 2 (;@1;)
      end
      local.get $index
      i32.load offset=1245188
      local.set $index
      local.get $pc
      local.get $depth
      local.get $fuel
      local.get $index
      return_call_indirect (type 1)
    end
    local.set $pc
    i32.const 0
    local.get $slot10
    i64.store offset=80
    i32.const 0
    local.get $slot33
    f64.store offset=264
    i32.const 0
    local.get $slot34
    f64.store offset=272
    i32.const 0
    local.get $slot36
    f64.store offset=288
    i32.const 0
    local.get $slot6
    i64.store offset=48
    i32.const 0
    local.get $slot7
    i64.store offset=56
    br 0 (;@1;)
  end
  local.get $pc
  local.get $fuel)
;; exit -2: 10000, 7 not executed: memory
;; exit -3: 10004, 6 not executed: float
;; exit -4: 10008, 5 not executed: float
;; exit -5: 1000c, 4 not executed: float
;; exit -6: -ffe4, 0 not executed: target
